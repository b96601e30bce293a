"""Attribution by attention: rollout, plain and weighted by gradients."""
