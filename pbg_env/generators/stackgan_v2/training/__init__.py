"""Trains StackGAN-v2 without conditions on a folder of pictures, or on drawn portraits."""
