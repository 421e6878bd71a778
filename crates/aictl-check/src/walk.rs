//! The walk over a script's syntax tree.

use std::collections::{BTreeSet, HashMap};

use ruff_python_ast::{
    AnyNodeRef, Expr, ExprAttribute, ExprCall, ExprName, Identifier, Mod, Number,
    PatternMatchClass, StmtImport, StmtImportFrom,
    visitor::source_order::{SourceOrderVisitor, TraversalSignal},
};
use ruff_text_size::{Ranged, TextRange};

use crate::{
    Policy, Refused, Rule, byte,
    classes::Classes,
    fields, members,
    names::{self, Wrong},
};

/// The most characters of a number: Python itself takes no longer one in decimal digits.
const MAX_DIGITS: usize = 1000;
/// Functions that the rules below rely on, and which must keep their meaning.
const FIXED: [&str; 2] = ["isinstance", "issubclass"];

/// What to write instead of a module as a value.
const AROUND: &str = "write module.name where you need it, and give variables other names";

/// What is wrong with functools.wraps that is more than a decorator, and what to write instead.
const WRAPS: &str = "functools.wraps that may copy attributes by their names";
const WRAPS_INSTEAD: &str = "write @functools.wraps(f)";

/// What is wrong with a script whose syntax is right.
pub fn walk(module: &Mod, policy: &Policy) -> BTreeSet<Refused> {
    let node = AnyNodeRef::from(module);
    let mut imported = Imported { policy, names: HashMap::new() };
    node.visit_source_order(&mut imported);
    let mut classes = Classes::default();
    node.visit_source_order(&mut classes);
    let mut walk = Walk {
        policy,
        imported: imported.names,
        classes,
        above: Vec::new(),
        depth: 0,
        nodes: 0,
        refused: BTreeSet::new(),
    };
    node.visit_source_order(&mut walk);
    walk.refused
}

/// What a name stands for that an import binds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    /// A module.
    Module(String),
    /// A module's member of this name.
    Member(String),
}

/// What imports bind, wherever they stand. A name keeps all its meanings: which of them it has where
/// it is used is not for a look at the text to say.
struct Imported<'p> {
    policy: &'p Policy,
    names: HashMap<String, Vec<Meaning>>,
}

impl Imported<'_> {
    fn add(&mut self, name: &str, meaning: Meaning) {
        let meanings = self.names.entry(name.to_owned()).or_default();
        if !meanings.contains(&meaning) {
            meanings.push(meaning);
        }
    }
}

impl<'a> SourceOrderVisitor<'a> for Imported<'_> {
    fn enter_node(&mut self, node: AnyNodeRef<'a>) -> TraversalSignal {
        match node {
            AnyNodeRef::StmtImport(import) => {
                for alias in &import.names {
                    let (name, module) = bound_by(alias);
                    self.add(name, Meaning::Module(module.to_owned()));
                }
                TraversalSignal::Skip
            }
            AnyNodeRef::StmtImportFrom(from) => {
                let module = from.module.as_ref().map_or("", Identifier::as_str);
                for alias in &from.names {
                    let member = alias.name.as_str();
                    let name = alias.asname.as_ref().map_or(member, Identifier::as_str);
                    let meaning = match members::module(module, member, &self.policy.imports) {
                        Some(inner) => Meaning::Module(inner),
                        None => Meaning::Member(member.to_owned()),
                    };
                    self.add(name, meaning);
                }
                TraversalSignal::Skip
            }
            // No expression imports anything.
            node if node.is_expression() => TraversalSignal::Skip,
            _ => TraversalSignal::Traverse,
        }
    }
}

/// The name that an import binds, and the module that it then is.
fn bound_by(alias: &ruff_python_ast::Alias) -> (&str, &str) {
    let module = alias.name.as_str();
    match &alias.asname {
        Some(name) => (name.as_str(), module),
        None => {
            let top = module.split('.').next().unwrap_or(module);
            (top, top)
        }
    }
}

/// Whether `range` in `node` says what a parameter, a variable or a result is.
fn is_annotation(node: AnyNodeRef<'_>, range: TextRange) -> bool {
    match node {
        AnyNodeRef::Parameter(_) => true,
        AnyNodeRef::StmtAnnAssign(assign) => assign.annotation.range() == range,
        AnyNodeRef::StmtFunctionDef(function) => {
            function.returns.as_ref().is_some_and(|returns| returns.range() == range)
        }
        _ => false,
    }
}

struct Walk<'a> {
    policy: &'a Policy,
    /// What imports bind.
    imported: HashMap<String, Vec<Meaning>>,
    /// Where classes come from.
    classes: Classes<'a>,
    /// The nodes around the one that is looked at, innermost last.
    above: Vec<AnyNodeRef<'a>>,
    /// How many of them count.
    depth: u64,
    nodes: u64,
    refused: BTreeSet<Refused>,
}

impl<'a> SourceOrderVisitor<'a> for Walk<'a> {
    fn enter_node(&mut self, node: AnyNodeRef<'a>) -> TraversalSignal {
        self.count(node);
        if self.depth > self.policy.depth || self.nodes > self.policy.nodes {
            self.above.push(node);
            return TraversalSignal::Skip;
        }
        self.look(node);
        self.above.push(node);
        TraversalSignal::Traverse
    }

    fn leave_node(&mut self, node: AnyNodeRef<'a>) {
        self.above.pop();
        if self.is_level(node) {
            self.depth -= 1;
        }
    }
}

impl<'a> Walk<'a> {
    /// Whether a node is one level of its own: the terms of a sum are of one.
    fn is_level(&self, node: AnyNodeRef<'a>) -> bool {
        let in_sum = || matches!(self.above.last(), Some(AnyNodeRef::ExprBinOp(_)));
        match node {
            AnyNodeRef::ExprBinOp(_) => !in_sum(),
            node => node.is_expression() || node.is_statement() || node.is_pattern(),
        }
    }

    fn count(&mut self, node: AnyNodeRef<'a>) {
        let at = byte(node.start());
        if self.is_level(node) {
            self.depth += 1;
            if self.depth == self.policy.depth + 1 {
                let message = format!("nested more than {} levels deep", self.policy.depth);
                self.refuse(at, Rule::Depth, message, "split it into steps or functions");
            }
        }
        let is_part = matches!(
            node,
            AnyNodeRef::Identifier(_)
                | AnyNodeRef::StringLiteral(_)
                | AnyNodeRef::BytesLiteral(_)
                | AnyNodeRef::FString(_)
                | AnyNodeRef::TString(_)
                | AnyNodeRef::Arguments(_)
                | AnyNodeRef::Parameters(_)
        );
        self.nodes += u64::from(!is_part);
        if self.nodes == self.policy.nodes + 1 && !is_part {
            let message = format!("the script has more than {} syntax nodes", self.policy.nodes);
            self.refuse(at, Rule::Nodes, message, "shorten it, or read its data from one text");
        }
    }

    fn refuse(&mut self, at: usize, rule: Rule, message: impl Into<String>, instead: &str) {
        self.refused.insert(Refused::new(at, rule, message, instead));
    }

    fn wrong(&mut self, at: usize, rule: Rule, wrong: Option<Wrong>) {
        if let Some(Wrong { message, instead }) = wrong {
            self.refuse(at, rule, message, instead);
        }
    }

    fn look(&mut self, node: AnyNodeRef<'a>) {
        match node {
            AnyNodeRef::StmtImport(import) => self.import(import),
            AnyNodeRef::StmtImportFrom(from) => self.import_from(from),
            AnyNodeRef::Identifier(identifier) => self.identifier(identifier),
            AnyNodeRef::ExprName(name) => self.name(name),
            AnyNodeRef::ExprAttribute(attribute) => self.attribute(attribute),
            AnyNodeRef::ExprCall(call) => self.call(call),
            AnyNodeRef::PatternMatchClass(pattern) => self.class_pattern(pattern),
            AnyNodeRef::ExprNumberLiteral(number) => {
                let digits = node.range().len().to_usize();
                if matches!(number.value, Number::Int(_)) && digits > MAX_DIGITS {
                    let message = format!("a number of {digits} characters");
                    self.refuse(byte(node.start()), Rule::Number, message, "compute it");
                }
            }
            _ => {}
        }
    }

    fn import(&mut self, import: &StmtImport) {
        for alias in &import.names {
            let module = alias.name.as_str();
            let at = byte(alias.start());
            self.module(module, at);
            let top = module.split('.').next().unwrap_or(module);
            if alias.asname.is_none() && !self.policy.imports.allow(top) && self.allows(module) {
                let message = format!("this binds {}, which is not allowed", names::plain(top));
                self.refuse(at, Rule::Import, message, "write from … import …");
            }
        }
    }

    fn allows(&self, module: &str) -> bool {
        self.policy.imports.allow(module)
    }

    fn module(&mut self, module: &str, at: usize) {
        if self.allows(module) {
            return;
        }
        let allowed = self.policy.imports.names().join(", ");
        let instead = match allowed.is_empty() {
            true => "import nothing".to_owned(),
            false => format!("use one of: {allowed}"),
        };
        let message = format!("the module {} is not allowed", names::plain(module));
        self.refuse(at, Rule::Import, message, &instead);
    }

    fn import_from(&mut self, from: &StmtImportFrom) {
        let at = byte(from.start());
        if from.level > 0 {
            let message = "a relative import: a script is no package";
            self.refuse(at, Rule::Import, message, "import the module by its name");
            return;
        }
        let module = from.module.as_ref().map_or("", Identifier::as_str);
        self.module(module, at);
        for alias in &from.names {
            let at = byte(alias.start());
            match alias.name.as_str() {
                "*" => {
                    let message = "import * binds names that are not in the text";
                    self.refuse(at, Rule::Import, message, "name what you import");
                }
                // Of a module that is refused as a whole, no more is said.
                member if module != "__future__" && self.allows(module) => {
                    let wrong = members::check(module, member, &self.policy.imports);
                    self.wrong(at, Rule::Module, wrong);
                }
                _ => {}
            }
        }
    }

    /// A name that stands by itself: what a statement binds, or what an argument or a pattern is
    /// for.
    fn identifier(&mut self, identifier: &Identifier) {
        let at = byte(identifier.start());
        let name = identifier.as_str();
        match self.above.last() {
            Some(AnyNodeRef::StmtImportFrom(_)) => {}
            // An attribute is looked at as a whole.
            Some(AnyNodeRef::ExprAttribute(_)) => {}
            Some(AnyNodeRef::Alias(alias)) => {
                if alias.asname.as_ref().is_some_and(|own| own.range() == identifier.range()) {
                    self.wrong(at, Rule::Name, names::name(name));
                    self.fixed(name, at);
                }
            }
            Some(AnyNodeRef::Keyword(_)) => {
                self.wrong(at, Rule::Attribute, names::attribute(name));
                if matches!(name, "assigned" | "updated") {
                    self.refuse(at, Rule::Attribute, WRAPS, WRAPS_INSTEAD);
                }
            }
            Some(AnyNodeRef::PatternKeyword(_)) => {
                self.wrong(at, Rule::Attribute, names::attribute(name));
                if matches!(name, "format" | "format_map") {
                    let message = "a pattern that takes the method format";
                    self.refuse(at, Rule::Format, message, "write an f-string");
                }
            }
            // A method is asked for as an attribute, and so may be called anything but what those
            // may not be.
            Some(AnyNodeRef::StmtFunctionDef(_)) if self.in_class() => {
                self.wrong(at, Rule::Name, names::method(name));
            }
            Some(AnyNodeRef::StmtFunctionDef(_) | AnyNodeRef::StmtClassDef(_)) => {
                self.wrong(at, Rule::Name, names::definition(name));
                self.fixed(name, at);
            }
            _ => {
                self.wrong(at, Rule::Name, names::name(name));
                self.fixed(name, at);
            }
        }
    }

    /// Whether the function that is being looked at is a class's own.
    fn in_class(&self) -> bool {
        let around = self.above.iter().rev().nth(1);
        matches!(around, Some(AnyNodeRef::StmtClassDef(_)))
    }

    /// A name that is bound, and may have to keep its meaning.
    fn fixed(&mut self, name: &str, at: usize) {
        if FIXED.contains(&name) {
            let message = format!("{} is given another meaning", names::plain(name));
            self.refuse(at, Rule::Name, message, "call it otherwise");
        }
    }

    fn name(&mut self, name: &ExprName) {
        let (at, id) = (byte(name.start()), name.id.as_str());
        self.wrong(at, Rule::Name, names::name(id));
        if !name.ctx.is_load() {
            self.fixed(id, at);
            return;
        }
        if id == "type" && !self.may_name_type(name) {
            let message = "type is used as a value, which makes classes that are not in the text";
            self.refuse(at, Rule::Name, message, "write type(x), or a class");
        }
        let is_wraps = || {
            let meanings = self.imported.get(id).map_or(&[][..], Vec::as_slice);
            meanings.iter().any(|it| matches!(it, Meaning::Member(member) if member == "wraps"))
        };
        if is_wraps() && !self.is_called(name.range()) {
            self.refuse(at, Rule::Attribute, WRAPS, WRAPS_INSTEAD);
        }
        if self.module_named(id).is_some() && !self.is_base() {
            let message = format!("the module {} is handed around", names::plain(id));
            self.refuse(at, Rule::Module, message, AROUND);
        }
    }

    /// Whether what is looked at, at `range`, is what a call calls.
    fn is_called(&self, range: TextRange) -> bool {
        matches!(self.above.last(), Some(AnyNodeRef::ExprCall(call)) if call.func.range() == range)
    }

    /// A pattern such as `case C(x)`, which reads attributes by their names in `C`.
    fn class_pattern(&mut self, pattern: &PatternMatchClass) {
        if let ([first, ..], false) =
            (&*pattern.arguments.patterns, self.classes.tells_its_attributes(&pattern.cls))
        {
            let message = "a pattern that reads attributes whose names are not in the text";
            let instead = "name them, as in case C(x=x)";
            self.refuse(byte(first.start()), Rule::Attribute, message, instead);
        }
    }

    /// Whether what is looked at is what an attribute is of.
    fn is_base(&self) -> bool {
        matches!(self.above.last(), Some(AnyNodeRef::ExprAttribute(_)))
    }

    /// A module that an import gives this name.
    fn module_named(&self, name: &str) -> Option<&str> {
        self.modules_named(name).next()
    }

    fn modules_named(&self, name: &str) -> impl Iterator<Item = &str> {
        let meanings = self.imported.get(name).map_or(&[][..], Vec::as_slice);
        meanings.iter().filter_map(|meaning| match meaning {
            Meaning::Module(module) => Some(module.as_str()),
            Meaning::Member(_) => None,
        })
    }

    /// Whether the name `type` only asks for a value's class, or says what something is.
    fn may_name_type(&self, name: &ExprName) -> bool {
        let mut above = self.above.iter().rev();
        match above.next() {
            Some(AnyNodeRef::ExprCall(call)) => {
                call.func.range() == name.range()
                    && call.arguments.keywords.is_empty()
                    && matches!(&*call.arguments.args, [one] if !one.is_starred_expr())
            }
            Some(AnyNodeRef::ExprCompare(compare)) => {
                compare.ops.iter().all(|op| op.is_is() || op.is_is_not())
            }
            Some(AnyNodeRef::Arguments(arguments)) => match above.next() {
                Some(AnyNodeRef::ExprCall(call)) => {
                    let asks = matches!(
                        &*call.func,
                        Expr::Name(name) if FIXED.contains(&name.id.as_str())
                    );
                    asks && arguments.args.get(1).is_some_and(|arg| arg.range() == name.range())
                }
                _ => false,
            },
            // As in `type[C]`.
            Some(AnyNodeRef::ExprSubscript(subscript)) => {
                subscript.value.range() == name.range()
                    && above.next().is_some_and(|node| is_annotation(*node, subscript.range()))
                    && !matches!(above.next(), Some(AnyNodeRef::StmtClassDef(_)))
            }
            // What a class says of its variables can be read as a value: dataclasses.fields does.
            Some(node) => {
                is_annotation(*node, name.range())
                    && !(node.is_stmt_ann_assign()
                        && matches!(above.next(), Some(AnyNodeRef::StmtClassDef(_))))
            }
            None => false,
        }
    }

    /// The modules that an expression can be, as far as the text says.
    fn modules_of(&self, expr: &Expr) -> Vec<String> {
        match expr {
            Expr::Name(name) => self.modules_named(&name.id).map(str::to_owned).collect(),
            Expr::Attribute(attribute) => {
                let member = attribute.attr.as_str();
                let modules = self.modules_of(&attribute.value);
                let inner = |module: &String| members::module(module, member, &self.policy.imports);
                modules.iter().filter_map(inner).collect()
            }
            _ => Vec::new(),
        }
    }

    fn attribute(&mut self, attribute: &ExprAttribute) {
        let at = byte(attribute.attr.start());
        let name = attribute.attr.as_str();
        let modules = self.modules_of(&attribute.value);
        if modules.is_empty() {
            self.wrong(at, Rule::Attribute, names::attribute(name));
        }
        for module in modules {
            let wrong = members::check(&module, name, &self.policy.imports);
            self.wrong(at, Rule::Module, wrong);
            let member = format!("{}.{}", names::plain(&module), names::plain(name));
            if !attribute.ctx.is_load() {
                let message = format!("{member} is changed");
                self.refuse(at, Rule::Module, message, "keep a value of your own");
            }
            if members::module(&module, name, &self.policy.imports).is_some() && !self.is_base() {
                let message = format!("the module {member} is handed around");
                self.refuse(at, Rule::Module, message, AROUND);
            }
        }
        if name == "wraps" && !self.is_called(attribute.range()) {
            self.refuse(at, Rule::Attribute, WRAPS, WRAPS_INSTEAD);
        }
        match name {
            "format" => self.format(&attribute.value, at),
            "format_map" => {
                let message = "format_map reads attributes by names that are not in the text";
                self.refuse(at, Rule::Format, message, "write an f-string");
            }
            _ => {}
        }
    }

    /// A format string, which must stand right there.
    fn format(&mut self, format: &Expr, at: usize) {
        let Expr::StringLiteral(literal) = format else {
            let message = "format of a text that does not stand right there";
            self.refuse(at, Rule::Format, message, "write an f-string");
            return;
        };
        for name in fields::attributes(literal.value.to_str()) {
            if let Some(Wrong { message, instead }) = names::attribute(&name) {
                let message = format!("in a format string, {message}");
                self.refuse(byte(format.start()), Rule::Format, message, instead);
            } else if name.starts_with('_') {
                let message = format!("a format string reads {}", names::plain(&name));
                self.refuse(byte(format.start()), Rule::Format, message, "write an f-string");
            }
        }
    }

    /// A call of `functools.wraps` with more than the function, which copies any attribute; and one
    /// of `type(x)` that may make a class.
    fn call(&mut self, call: &ExprCall) {
        if let Expr::Call(inner) = &*call.func
            && matches!(&*inner.func, Expr::Name(name) if name.id.as_str() == "type")
            && (call.arguments.args.len() > 2
                || call.arguments.args.iter().any(Expr::is_starred_expr))
        {
            let message = "a call of type(x) with so many arguments, which may make a class";
            self.refuse(byte(call.start()), Rule::Name, message, "call the class by its name");
        }
        let is_wraps = match &*call.func {
            Expr::Name(name) => self
                .imported
                .get(name.id.as_str())
                .is_some_and(|meanings| meanings.contains(&Meaning::Member("wraps".to_owned()))),
            Expr::Attribute(attribute) => attribute.attr.as_str() == "wraps",
            _ => false,
        };
        let one = matches!(&*call.arguments.args, [one] if !one.is_starred_expr());
        if is_wraps && !(one && call.arguments.keywords.is_empty()) {
            self.refuse(byte(call.start()), Rule::Attribute, WRAPS, WRAPS_INSTEAD);
        }
    }
}
