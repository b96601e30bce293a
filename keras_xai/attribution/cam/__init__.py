"""The CAM family: class activation maps, Grad-CAM, Grad-CAM++ and Score-CAM."""
