"""Checkpoints: known ones, legacy files read safely, conversion to safetensors."""
