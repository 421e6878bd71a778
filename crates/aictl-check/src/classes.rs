//! Which classes a text says all of: a pattern such as `case C(x)` reads the attributes that `C`
//! names in `__match_args__`, and where those are texts made at run time, it reads any.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::{
    AnyNodeRef, Decorator, Expr, ExprCall, StmtAssign, StmtClassDef,
    visitor::source_order::{SourceOrderVisitor, TraversalSignal},
};
use ruff_text_size::{Ranged, TextRange};

use crate::names;

/// Builtin classes of which such a pattern takes the value itself (PEP 634), and others that have no
/// attributes by position.
const BUILTIN: [&str; 30] = [
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BaseException",
    "Exception",
    "ImportError",
    "IndexError",
    "KeyError",
    "LookupError",
    "NameError",
    "NotImplementedError",
    "OSError",
    "OverflowError",
    "RuntimeError",
    "StopIteration",
    "TypeError",
    "ValueError",
    "ZeroDivisionError",
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "object",
    "set",
    "str",
];
/// As above, with a name that is also a function's elsewhere.
const TUPLE: &str = "tuple";
/// What decorates a class without making another of it, each a member of a module that is imported.
const DECORATORS: [&str; 5] =
    ["dataclass", "final", "runtime_checkable", "total_ordering", "unique"];

/// How a name comes to its value.
#[derive(Debug, Clone, Copy)]
enum Origin<'a> {
    /// A class that stands in the text.
    Class(&'a StmtClassDef),
    /// A call of namedtuple with fields that stand in the text.
    Tuple,
    /// An import.
    Import,
    /// Anything else.
    Other,
}

/// How each name of the text comes to its values.
#[derive(Debug, Default)]
pub struct Classes<'a> {
    origins: HashMap<&'a str, Vec<Origin<'a>>>,
    /// Targets that are told of by their statement.
    told: HashSet<TextRange>,
}

impl<'a> SourceOrderVisitor<'a> for Classes<'a> {
    fn enter_node(&mut self, node: AnyNodeRef<'a>) -> TraversalSignal {
        match node {
            AnyNodeRef::StmtClassDef(class) => {
                self.told.insert(class.name.range());
                self.add(class.name.as_str(), Origin::Class(class));
            }
            AnyNodeRef::StmtAssign(assign) => {
                if let Some((name, range)) = named_tuple(assign) {
                    self.told.insert(range);
                    self.add(name, Origin::Tuple);
                }
            }
            AnyNodeRef::Alias(alias) => {
                let name = alias.asname.as_ref().unwrap_or(&alias.name);
                self.told.extend([alias.name.range(), name.range()]);
                self.add(name.as_str().split('.').next().unwrap_or_default(), Origin::Import);
            }
            AnyNodeRef::ExprName(name)
                if !name.ctx.is_load() && !self.told.contains(&name.range) =>
            {
                self.add(&name.id, Origin::Other);
            }
            // These bind nothing.
            AnyNodeRef::StmtImportFrom(from) => {
                self.told.extend(from.module.as_ref().map(Ranged::range));
            }
            AnyNodeRef::ExprAttribute(attribute) => drop(self.told.insert(attribute.attr.range())),
            AnyNodeRef::Keyword(keyword) => {
                self.told.extend(keyword.arg.as_ref().map(Ranged::range));
            }
            AnyNodeRef::PatternKeyword(keyword) => drop(self.told.insert(keyword.attr.range())),
            // To take one for a binding that is none refuses more, and never less.
            AnyNodeRef::Identifier(name) if !self.told.contains(&name.range) => {
                self.add(&name.id, Origin::Other);
            }
            _ => {}
        }
        TraversalSignal::Traverse
    }
}

/// The name in `P = namedtuple('P', 'x y')`, where the fields stand there and may be read.
fn named_tuple(assign: &StmtAssign) -> Option<(&str, TextRange)> {
    let ([Expr::Name(target)], Expr::Call(call)) = (&*assign.targets, &*assign.value) else {
        return None;
    };
    let called = match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => return None,
    };
    let fields: Vec<&str> = match call.arguments.args.get(1)? {
        Expr::StringLiteral(fields) => fields.value.to_str().split([',', ' ']).collect(),
        Expr::List(list) => texts(&list.elts)?,
        Expr::Tuple(tuple) => texts(&tuple.elts)?,
        _ => return None,
    };
    let may_be_read = fields.iter().all(|field| names::attribute(field).is_none());
    (called == "namedtuple" && may_be_read).then(|| (target.id.as_str(), target.range))
}

fn texts(items: &[Expr]) -> Option<Vec<&str>> {
    fn text(item: &Expr) -> Option<&str> {
        match item {
            Expr::StringLiteral(literal) => Some(literal.value.to_str()),
            _ => None,
        }
    }
    items.iter().map(text).collect()
}

impl<'a> Classes<'a> {
    fn add(&mut self, name: &'a str, origin: Origin<'a>) {
        self.origins.entry(name).or_default().push(origin);
    }

    /// Whether a pattern may read the attributes that a class names by position: they all stand in
    /// the text, or in a module.
    pub fn tells_its_attributes(&self, class: &Expr) -> bool {
        // So deep at most, since a class can be its own parent in a text.
        self.is_told(class, 8)
    }

    fn is_told(&self, class: &Expr, depth: u8) -> bool {
        match class {
            Expr::Name(name) => match self.origins.get(name.id.as_str()).map(Vec::as_slice) {
                None => BUILTIN.contains(&name.id.as_str()) || name.id.as_str() == TUPLE,
                Some([Origin::Import | Origin::Tuple]) => true,
                Some([Origin::Class(class)]) => depth > 0 && self.is_plain(class, depth - 1),
                Some(_) => false,
            },
            // A member of a module, which is looked at as such.
            Expr::Attribute(attribute) => self.is_imported(&attribute.value),
            Expr::Subscript(generic) => depth > 0 && self.is_told(&generic.value, depth - 1),
            _ => false,
        }
    }

    fn is_imported(&self, module: &Expr) -> bool {
        match module {
            Expr::Name(name) => {
                matches!(
                    self.origins.get(name.id.as_str()).map(Vec::as_slice),
                    Some([Origin::Import])
                )
            }
            Expr::Attribute(attribute) => self.is_imported(&attribute.value),
            _ => false,
        }
    }

    /// Whether nothing makes of a class what does not stand there.
    fn is_plain(&self, class: &StmtClassDef, depth: u8) -> bool {
        let (bases, keywords) = match &class.arguments {
            Some(arguments) => (&*arguments.args, &*arguments.keywords),
            None => (&[][..], &[][..]),
        };
        keywords.is_empty()
            && bases.iter().all(|base| self.is_told(base, depth))
            && class.decorator_list.iter().all(|decorator| self.leaves_it(decorator))
    }

    fn leaves_it(&self, decorator: &Decorator) -> bool {
        let expression = match &decorator.expression {
            Expr::Call(ExprCall { func, .. }) => func,
            other => other,
        };
        match expression {
            Expr::Name(name) => {
                let origins = self.origins.get(name.id.as_str()).map(Vec::as_slice);
                DECORATORS.contains(&name.id.as_str()) && matches!(origins, Some([Origin::Import]))
            }
            Expr::Attribute(attribute) => {
                DECORATORS.contains(&attribute.attr.as_str()) && self.is_imported(&attribute.value)
            }
            _ => false,
        }
    }
}
