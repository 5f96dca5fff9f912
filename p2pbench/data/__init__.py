"""What training and scoring eat: pairs, decoded once, cropped and mirrored on the device."""
