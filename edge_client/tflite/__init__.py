"""Training and recognition with TFLite files of built-in ops, without TensorFlow."""
