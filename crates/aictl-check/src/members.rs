//! What modules hold that is not for scripts: other modules, and the few functions that turn text
//! into code or names.

use aictl_api::strict::Imports;

use crate::names::{self, Wrong};

/// What CPython's modules hold; written by `members.py`.
const MEMBERS: &str = include_str!("members.txt");

/// Modules of the standard library, as an attribute's name: what is imported where it is used is
/// one of these, in a module that the table does not know.
const STANDARD: &str = include_str!("standard.txt");

/// Members that are refused, and what to write instead.
const UNSAFE: &[(&str, &str, &str)] = &[
    ("dataclasses", "make_dataclass", "write a class with @dataclass"),
    ("enum", "EnumMeta", "write a class"),
    ("enum", "EnumType", "write a class"),
    ("enum", "global_enum", "leave it out"),
    ("functools", "singledispatch", "ask with isinstance"),
    ("functools", "singledispatchmethod", "ask with isinstance"),
    ("functools", "update_wrapper", "write @functools.wraps(f)"),
    ("operator", "attrgetter", "write lambda x: x.name"),
    ("operator", "methodcaller", "write lambda x: x.name()"),
    ("string", "Formatter", "write an f-string"),
    ("types", "CodeType", "leave it out"),
    ("types", "FunctionType", "leave it out"),
    ("types", "LambdaType", "leave it out"),
    ("types", "new_class", "write a class"),
    ("typing", "ForwardRef", "leave it out"),
    ("typing", "NamedTupleMeta", "write a class"),
    ("typing", "evaluate_forward_ref", "leave it out"),
    ("typing", "get_args", "leave it out"),
    ("typing", "get_origin", "leave it out"),
    ("typing", "get_type_hints", "leave it out"),
];

/// Members of whatever module that are refused: what makes classes or functions, under each name by
/// which modules have it.
const UNSAFE_ANYWHERE: [&str; 7] = [
    "ABCMeta",
    "CodeType",
    "FunctionType",
    "LambdaType",
    "attrgetter",
    "methodcaller",
    "new_class",
];

/// The module that `module` holds under `member`, if the table knows one.
fn inner(module: &str, member: &str) -> Option<Option<&'static str>> {
    MEMBERS.lines().find_map(|line| {
        let mut words = line.split(' ');
        let known = words.next() == Some(module) && words.next() == Some(member);
        known.then(|| words.nth(1))
    })
}

/// The module that an attribute of `module` is, as far as one can tell.
pub fn module(module: &str, member: &str, imports: &Imports) -> Option<String> {
    let below = format!("{module}.{member}");
    match inner(module, member) {
        Some(known) => known.map(str::to_owned),
        None if imports.allow(&below) && is_submodule(&below) => Some(below),
        None => None,
    }
}

/// Modules below others that are known to be such.
pub fn is_submodule(name: &str) -> bool {
    ["collections.abc", "json.decoder", "json.encoder", "json.scanner", "json.tool", "os.path"]
        .contains(&name)
}

/// What is wrong with a member of a module.
pub fn check(module: &str, member: &str, imports: &Imports) -> Option<Wrong> {
    let of = || format!("{}.{}", names::plain(module), names::plain(member));
    if let Some((_, _, instead)) =
        UNSAFE.iter().find(|(known, name, _)| *known == module && *name == member)
    {
        return Some(Wrong { message: format!("{} is not for scripts", of()), instead });
    }
    if UNSAFE_ANYWHERE.contains(&member) {
        return Some(Wrong {
            message: format!("{} is not for scripts", of()),
            instead: "leave it out",
        });
    }
    let is_text = matches!(member, "__name__" | "__doc__" | "__version__");
    if member.starts_with('_') && !is_text {
        return Some(Wrong { message: format!("{} is private", of()), instead: "leave it out" });
    }
    let hidden = match inner(module, member) {
        Some(Some(real)) => !imports.allow(real),
        Some(None) => false,
        None => {
            let below = format!("{module}.{member}");
            !is_submodule(&below)
                && STANDARD.split_whitespace().any(|name| name == member)
                && !imports.allow(member)
        }
    };
    hidden.then(|| Wrong {
        message: format!("{} is a module that is not allowed", of()),
        instead: "use what the modules that are allowed offer",
    })
}

#[cfg(test)]
mod tests {
    use super::{module as module_in, *};

    #[test]
    fn modules_in_modules_are_found_and_look_alikes_are_not() {
        let imports = Imports::default();
        for (module, member, allowed) in [
            ("random", "_os", false),
            ("random", "random", true),
            ("random", "choice", true),
            ("json", "codecs", false),
            ("json", "loads", true),
            ("json", "decoder", true),
            ("collections", "abc", true),
            ("collections", "_sys", false),
            ("datetime", "time", true),
            ("datetime", "datetime", true),
            ("datetime", "sys", false),
            ("statistics", "math", true),
            ("statistics", "sys", false),
            ("enum", "bltns", false),
            ("typing", "stdlib_re", true),
            ("typing", "types", false),
            ("typing", "get_type_hints", false),
            ("string", "Formatter", false),
            ("string", "Template", true),
            ("numpy", "os", false),
            ("numpy", "linalg", true),
            ("numpy", "__version__", true),
            ("math", "__loader__", false),
        ] {
            assert_eq!(check(module, member, &imports).is_none(), allowed, "{module}.{member}");
        }
        assert_eq!(module_in("statistics", "math", &imports).as_deref(), Some("math"));
        assert_eq!(module_in("datetime", "time", &imports), None);
        assert_eq!(module_in("collections", "abc", &imports).as_deref(), Some("collections.abc"));
    }
}
