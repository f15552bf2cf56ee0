"""What runs on the device: features, recognition, local training, taking part in rounds."""
