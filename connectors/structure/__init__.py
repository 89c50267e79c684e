"""Insertion structures and providers: measure requests go to them by HTTP, their answers are polled."""
