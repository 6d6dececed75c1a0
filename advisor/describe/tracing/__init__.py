"""Running a training step of any ``torch.nn.Module`` without memory or a GPU, and writing down which kernels it starts.

Everything here imports torch; it runs in a process of its own (:mod:`advisor.describe.torch_module` starts it), so that
a user's code can neither hang nor crash the tool, and nothing else ever loads torch.
"""
