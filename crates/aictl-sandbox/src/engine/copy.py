def _copy():
    import _imp, os, sys
    name, path = 'aictl_template', '/proc/self/fd/3'
    loader = sys.modules['_frozen_importlib_external'].ExtensionFileLoader(name, path)
    module = _imp.create_dynamic(sys.modules['_frozen_importlib'].ModuleSpec(name, loader, origin=path))
    _imp.exec_dynamic(module)
    original = module.Original()
    os.close(3)
    os.write(4, b'!')
    os.close(4)
    copy = original.serve()
    program = os.fork()
    if program:
        copy.stay(program)
    copy.enter()
    return loader, module, original, copy
_go(_copy)
