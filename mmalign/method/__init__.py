"""The paper's method, a file a part: backbone, alignment dynamics, denoising loop, and the model that they make."""
