"""The named preprocessings of images, in words."""

MEANINGS = {
    "caffe": "blue, green, red from 0 to 255, minus ImageNet's means",
    "tf": "-1 to 1",
    "torch": "0 to 1, minus the means of ImageNet's colors, divided by their standard deviations",
    "unit": "0 to 1",
    "raw": "0 to 255",
}
