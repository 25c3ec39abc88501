//! Modules of a crate do not import each other in a circle.
//!
//! A module and those within it are one room: between them imports may go both ways. What a module
//! passes on (`pub use`) is imported from where it is defined.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{CRATES, is_test, root, sources};

/// The names that lead to a module from the root of its crate.
type Module = Vec<String>;

/// The code of a crate by module, without tests and comments.
type Code = BTreeMap<Module, String>;

fn module_of(src: &Path, file: &Path) -> Module {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let mut names: Module = path
        .iter()
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    if names
        .last()
        .is_some_and(|name| ["mod", "lib", "main"].contains(&name.as_str()))
    {
        names.pop();
    }
    names
}

fn code_of(text: &str) -> String {
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = product.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a tree of imports: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths_of(tree: &str) -> Vec<Module> {
    let names = |text: &str| -> Module {
        let path = text.split(" as ").next().unwrap();
        let names = path.split("::").map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let Some((head, rest)) = tree.split_once('{') else {
        return vec![names(tree)];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(c);
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    let whole = |path: Module| [names(head), path].concat();
    parts.flat_map(|part| paths_of(part)).map(whole).collect()
}

/// The imports of a module, and whether it passes each of them on.
fn imports(code: &str) -> Vec<(Module, bool)> {
    let mut found = Vec::new();
    let statements = code.split(';');
    for statement in statements {
        let begin = statement.rfind("use ").filter(|at| {
            let line = statement[..*at].rsplit('\n').next().unwrap().trim();
            line.is_empty() || line.starts_with("pub")
        });
        if let Some(at) = begin {
            let line = statement[..at].rsplit('\n').next().unwrap();
            let tree = statement[at + "use ".len()..].replace('\n', " ");
            let passes_on = line.contains("pub");
            found.extend(paths_of(&tree).into_iter().map(|path| (path, passes_on)));
        }
    }
    // What is named by its path where it is used.
    let is_of_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    for word in code.split(|c| !is_of_path(c)) {
        if word.starts_with("crate::") || word.starts_with("super::") {
            found.extend(paths_of(word).into_iter().map(|path| (path, false)));
        }
    }
    found
}

/// The module that a path leads to from another one; `None` where it leads to another crate.
fn target(code: &Code, from: &Module, path: &[String], hops: u32) -> Option<Module> {
    let (mut at, mut rest) = match path.first()?.as_str() {
        "crate" => (Module::new(), &path[1..]),
        "self" => (from.clone(), &path[1..]),
        "super" => {
            let up = path.iter().take_while(|name| *name == "super").count();
            (from[..from.len().checked_sub(up)?].to_vec(), &path[up..])
        }
        name if code.contains_key(&[&from[..], &[name.to_owned()]].concat()) => {
            (from.clone(), path)
        }
        _ => return None,
    };
    while let Some((name, behind)) = rest.split_first() {
        let inner = [&at[..], std::slice::from_ref(name)].concat();
        if !code.contains_key(&inner) {
            break;
        }
        (at, rest) = (inner, behind);
    }
    if let (Some(name), Some(text)) = (rest.first(), code.get(&at))
        && hops > 0
    {
        let passed_on = imports(text)
            .into_iter()
            .find(|(path, passes_on)| *passes_on && path.last() == Some(name));
        if let Some((path, _)) = passed_on {
            return target(code, &at, &path, hops - 1).or(Some(at));
        }
    }
    Some(at)
}

/// The modules that other rooms import in a circle, each with what it imports of the others.
fn circles(code: &Code) -> Vec<String> {
    let mut arrows: BTreeMap<&Module, BTreeSet<Module>> = BTreeMap::new();
    for (module, text) in code {
        for (path, _) in imports(text) {
            let to = target(code, module, &path, 8);
            let is_one_room = |to: &Module| to.starts_with(module) || module.starts_with(to);
            arrows
                .entry(module)
                .or_default()
                .extend(to.filter(|to| !is_one_room(to)));
        }
    }
    let reached = |from: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = open.pop() {
            for to in arrows.get(&at).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        seen
    };
    let within: Vec<&Module> = code.keys().filter(|of| reached(of).contains(*of)).collect();
    let shown = |of: &&Module| {
        let to = arrows[*of].iter().filter(|to| within.contains(to));
        let to: Vec<String> = to.map(|to| to.join("::")).collect();
        format!("{} imports {}", of.join("::"), to.join(", "))
    };
    within.iter().map(shown).collect()
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let mut modules = 0;
    for dir in CRATES {
        let src = root().join(dir).join("src");
        let files = sources(&format!("{dir}/src"));
        let is_of_tests = |path: &Path| is_test(path.strip_prefix(&src).unwrap());
        let product = files.iter().filter(|path| !is_of_tests(path));
        let code: Code = product
            .map(|path| {
                let text = fs::read_to_string(path).unwrap();
                (module_of(&src, path), code_of(&text))
            })
            .collect();
        modules += code.len();
        let found = circles(&code);
        assert!(found.is_empty(), "{dir}:\n{}", found.join("\n"));
    }
    assert!(modules > 250, "only {modules} modules were found");
}

#[test]
fn a_circle_is_found() {
    let code = |files: &[(&str, &str)]| -> Code {
        let module = |name: &str| name.split("::").map(str::to_owned).collect();
        let files = files.iter();
        files
            .map(|(name, text)| (module(name), code_of(text)))
            .collect()
    };
    let direct = [("a", "use crate::b::B;"), ("b", "fn f(_: super::a::A) {}")];
    assert_eq!(circles(&code(&direct)), ["a imports b", "b imports a"]);
    let nested = [
        ("a", "use crate::{c::{self, C}, x::{Y, z}};"),
        ("b", "use crate::a::A;"),
        ("c", "use super::b;"),
    ];
    assert_eq!(circles(&code(&nested)).len(), 3);
    let passed_on = [
        ("a", "use crate::b::C;"),
        ("b", "pub(crate) use c::C;"),
        ("b::c", "use crate::a::A;"),
    ];
    assert_eq!(
        circles(&code(&passed_on)),
        ["a imports b::c", "b::c imports a"]
    );
    let one_room = [
        ("a", "mod b;\npub use b::B;\nstruct A;"),
        ("a::b", "use super::A; // use crate::c::C;"),
        (
            "c",
            "use crate::a::B;\n#[cfg(test)]\nmod tests {\n    use crate::d::D;\n}",
        ),
        ("d", "use crate::c::C;"),
    ];
    assert!(circles(&code(&one_room)).is_empty());
}
