//! What tidy wants to know of one Rust file.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::tree::Tree;

/// One parsed file.
#[derive(Default)]
pub(super) struct Source {
    /// Its path from the root.
    pub(super) path: String,
    /// Lines that are not in a `#[cfg(test)]` item.
    pub(super) lines: usize,
    /// Its functions outside of tests.
    pub(super) functions: Vec<Function>,
    /// The modules it declares to be in other files.
    pub(super) modules: Vec<Module>,
}

/// One function and its size.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// A `mod name;`.
pub(super) struct Module {
    /// The names of the modules around it in the same file, then its own.
    pub(super) names: Vec<String>,
    /// The file that a `#[path]` names.
    pub(super) path: Option<String>,
    /// Whether it exists in tests only.
    pub(super) is_test: bool,
}

struct Visitor<'a> {
    source: &'a mut Source,
    around: Vec<String>,
}

impl Source {
    /// Parses every Rust file of the tree; what does not parse is a breach.
    pub(super) fn parse_all(tree: &Tree) -> (Vec<Self>, Vec<String>) {
        let (mut sources, mut breaches) = (Vec::new(), Vec::new());
        for file in tree.files().iter().filter(|file| file.path.ends_with(".rs")) {
            match syn::parse_file(&file.text) {
                Ok(parsed) => sources.push(Self::new(&file.path, &file.text, &parsed)),
                Err(error) => breaches.push(format!(
                    "{}:{}: does not parse: {error}",
                    file.path,
                    error.span().start().line
                )),
            }
        }
        (sources, breaches)
    }

    fn new(path: &str, text: &str, parsed: &syn::File) -> Self {
        let lines = text.lines().count();
        let mut source = Self { path: path.to_owned(), lines, ..Self::default() };
        Visitor { source: &mut source, around: Vec::new() }.visit_file(parsed);
        source
    }
}

impl Visitor<'_> {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (line, end) = (signature.span().start().line, block.span().end().line);
        self.source.functions.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: end + 1 - line,
        });
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(&item.sig, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = is_test(&item.attrs);
        self.around.push(item.ident.to_string());
        match &item.content {
            None => {
                let (names, path) = (self.around.clone(), path_attribute(&item.attrs));
                self.source.modules.push(Module { names, path, is_test });
            }
            Some(_) if is_test => {
                let span = item.span();
                self.source.lines -= span.end().line + 1 - span.start().line;
            }
            Some(_) => visit::visit_item_mod(self, item),
        }
        self.around.pop();
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let cfg = attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test");
        cfg || attribute.path().segments.last().is_some_and(|last| last.ident == "test")
    })
}

fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    match &attribute.meta.require_name_value().ok()?.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) => Some(path.value()),
        _ => None,
    }
}
