"""TFLite graphs of the models, written op by op: what a device runs, and can build by itself."""
