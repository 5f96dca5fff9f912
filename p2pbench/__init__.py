"""p2pbench: benchmark and ablation toolkit for paired image-to-image translation (pix2pix)."""
