"""From a rendered signal to a file that meets a delivery spec: plan, limit, write, verify."""
