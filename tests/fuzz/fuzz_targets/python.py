import ast, struct, sys, warnings
warnings.simplefilter('ignore')
read, write = sys.stdin.buffer, sys.stdout.buffer
write.write(bytes(sys.version_info[:2]))
write.flush()


def names(tree):
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            # A text, a number or its kind is no name.
            if isinstance(node, (ast.Constant, ast.TypeIgnore)) or field == 'type_comment':
                continue
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str):
                    yield name


while True:
    size = read.read(4)
    if len(size) < 4:
        break
    text = read.read(struct.unpack('<I', size)[0])
    try:
        said = '\n'.join(set(names(ast.parse(text)))).encode()
        size = len(said)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        said, size = b'', 0xffffffff
    write.write(struct.pack('<I', size) + said)
    write.flush()
