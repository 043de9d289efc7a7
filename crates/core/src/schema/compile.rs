//! From a schema's text to a [`Schema`], with every fault of the text in one list.

use super::choices::{choices, listed, null_rule, type_in_common};
use super::column_names::name_fault;
use super::decimal::{IntegerText, integer_of_text};
use super::format::Format;
use super::keywords::{
    ANNOTATIONS, Applies, KEYWORDS, KeywordFault, bounds, count, flag, integer_limit, multiple_of,
    number_limit, number_of_text,
};
use super::model::{
    ArrayRule, BooleanRule, Choices, Field, IntegerRule, Kind, NullRule, NumberRule, ObjectRule, Pattern,
    Schema, SchemaFault, StringRule, ValueRule,
};
use super::tree::{Json, Tree, line_of, push_token};
use crate::violation::Code;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const TYPES: &[&str] = &[
    "null", "boolean", "integer", "number", "string", "object", "array",
];
/// More fields than any table should have; it also bounds what `$ref`s can multiply into.
const FIELDS_MAX: usize = 5_000;
/// References that refer on to others: keeps the recursion bounded.
const REFERENCES_MAX: usize = 32;

/// Compiles a schema file's text.
///
/// # Errors
/// Every fault there is, in the order of the text.
pub fn compile(text: &str) -> Result<Schema, Vec<SchemaFault>> {
    let tree = Tree::read(text).map_err(|fault| vec![fault])?;
    let mut compiler = Compiler {
        text,
        root: &tree,
        faults: Vec::new(),
        expanding: Vec::new(),
        fields: 0,
    };
    let root = compiler.root();
    compiler.unused_definitions();
    let mut faults = compiler.faults;
    if let (Some(root), true) = (root, faults.is_empty()) {
        return Ok(Schema { root });
    }
    faults.sort_by(|left, right| {
        (left.line, &left.pointer, &left.message).cmp(&(right.line, &right.pointer, &right.message))
    });
    faults.dedup();
    Err(faults)
}

/// The known word that an unknown one most likely meant.
pub(super) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    const DISTANCE_MAX: usize = 2;
    known
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= DISTANCE_MAX && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

struct Compiler<'t> {
    text: &'t str,
    root: &'t Tree<'t>,
    faults: Vec<SchemaFault>,
    /// The `$ref`s being followed: one that comes back is recursive.
    expanding: Vec<String>,
    fields: usize,
}

impl<'t> Compiler<'t> {
    fn fault(&mut self, tree: &Tree<'_>, pointer: &str, message: String) {
        let line = Some(line_of(self.text, tree.offset));
        self.faults.push(SchemaFault {
            pointer: pointer.to_owned(),
            line,
            message,
        });
    }

    /// Faults of keywords of one subschema.
    fn keyword_faults(&mut self, tree: &Tree<'_>, pointer: &str, faults: Vec<KeywordFault>) {
        for (keyword, message) in faults {
            self.fault(
                tree.member(keyword).unwrap_or(tree),
                &format!("{pointer}/{keyword}"),
                message,
            );
        }
    }

    fn root(&mut self) -> Option<ObjectRule> {
        let root = self.root;
        if let Some(value) = root.member("$schema") {
            let dialect = value.text().map(|text| text.strip_suffix('#').unwrap_or(text));
            if dialect != Some(DIALECT) {
                self.fault(
                    value,
                    "#/$schema",
                    format!("expected \"{DIALECT}\", found {}", value.described()),
                );
            }
        }
        if let Some(value) = root.member("$id").filter(|value| value.text().is_none()) {
            self.fault(
                value,
                "#/$id",
                format!("expected a string, found {}", value.described()),
            );
        }
        let rule = self.value_rule(root, "#")?;
        match (rule.kind, rule.null) {
            (Kind::Object(object), NullRule::RefusedByType) => Some(object),
            _ => {
                let message =
                    "the root must be an object, and nothing else; hint: \"type\": \"object\"".to_owned();
                self.fault(root.member("type").unwrap_or(root), "#/type", message);
                None
            }
        }
    }

    /// Definitions that nothing refers to are read all the same: their keywords must be supported too.
    fn unused_definitions(&mut self) {
        let Some(definitions) = self.root.member("$defs") else {
            return;
        };
        let Some(members) = definitions.members() else {
            self.fault(
                definitions,
                "#/$defs",
                format!("expected an object, found {}", definitions.described()),
            );
            return;
        };
        for (name, definition) in members {
            let mut pointer = "#/$defs".to_owned();
            push_token(&mut pointer, name);
            self.expanding.push(pointer.clone());
            self.value_rule(definition, &pointer);
            self.expanding.pop();
        }
    }

    fn value_rule(&mut self, tree: &'t Tree<'t>, pointer: &str) -> Option<ValueRule> {
        match &tree.json {
            Json::Object(_) => {}
            Json::Boolean(true) => {
                self.fault(
                    tree,
                    pointer,
                    "the schema true has no type; hint: give it a \"type\"".to_owned(),
                );
                return None;
            }
            Json::Boolean(false) => {
                let message = "the schema false, which forbids a field, is not supported; hint: take the field out and set \"additionalProperties\": false";
                self.fault(tree, pointer, message.to_owned());
                return None;
            }
            _ => {
                self.fault(
                    tree,
                    pointer,
                    format!("expected a schema (an object), found {}", tree.described()),
                );
                return None;
            }
        }
        self.check_known(tree, pointer);
        if let Some(reference) = tree.member("$ref") {
            return self.reference(tree, reference, pointer);
        }
        let (type_name, nullable) = self.type_of(tree, pointer)?;
        self.check_applies(tree, pointer, type_name);
        let listed = listed(tree);
        let type_code = match (tree.member("type"), listed.first()) {
            (None, Some(choice)) => choice.code,
            _ => Code::Type,
        };
        let null = match (nullable, type_code) {
            (true, _) => null_rule(&listed),
            (false, Code::Type) => NullRule::RefusedByType,
            (false, code) => NullRule::RefusedByChoice(code),
        };
        let mut faults = Vec::new();
        let kind = match type_name {
            "boolean" => {
                let as_boolean = |value: &Tree<'_>| match value.json {
                    Json::Boolean(flag) => Some(flag),
                    _ => None,
                };
                Some(Kind::Boolean(BooleanRule {
                    choices: choices(&listed, as_boolean),
                }))
            }
            "integer" => Some(Kind::Integer(IntegerRule {
                choices: choices(&listed, as_integer),
                bounds: bounds(tree, integer_limit, &mut faults),
                multiple_of: multiple_of(tree, &mut faults),
            })),
            "number" => Some(Kind::Number(NumberRule {
                choices: choices(&listed, as_number),
                bounds: bounds(tree, number_limit, &mut faults),
                multiple_of: multiple_of(tree, &mut faults),
            })),
            "string" => {
                let as_text = |value: &Tree<'_>| value.text().map(Box::from);
                let choices = choices(&listed, as_text);
                Some(Kind::String(string_rule(tree, choices, &mut faults)))
            }
            "object" => self.object_rule(tree, pointer, &mut faults).map(Kind::Object),
            _ => self
                .array_rule(tree, pointer, &mut faults)
                .map(|array| Kind::Array(Box::new(array))),
        };
        self.keyword_faults(tree, pointer, faults);
        let kind = kind?;
        self.check_choices(tree, pointer, &kind);
        Some(ValueRule {
            null,
            type_code,
            kind,
        })
    }

    /// Every keyword of a subschema is one that is supported there, or an annotation.
    fn check_known(&mut self, tree: &Tree<'_>, pointer: &str) {
        for (keyword, value) in tree.members().unwrap_or_default() {
            let mut at = pointer.to_owned();
            push_token(&mut at, keyword);
            if let Some((_, annotation)) = ANNOTATIONS.iter().find(|(known, _)| known == keyword) {
                if let Some(expected) = annotation.fault(value) {
                    self.fault(
                        value,
                        &at,
                        format!("expected {expected}, found {}", value.described()),
                    );
                }
                continue;
            }
            match KEYWORDS.iter().find(|(known, _)| known == keyword) {
                None => {
                    let known = KEYWORDS
                        .iter()
                        .map(|(known, _)| *known)
                        .chain(ANNOTATIONS.iter().map(|(known, _)| *known));
                    let hint = match nearest(keyword, known) {
                        Some(known) => format!("; hint: did you mean {known:?}?"),
                        None => String::new(),
                    };
                    self.fault(
                        value,
                        &at,
                        format!("the keyword {keyword:?} is not supported{hint}"),
                    );
                }
                Some((_, Applies::Root)) if pointer != "#" => {
                    self.fault(
                        value,
                        &at,
                        format!("the keyword {keyword:?} is supported at the root only"),
                    );
                }
                Some(_) => {}
            }
        }
    }

    /// A keyword that says nothing about the field's type can only be a mistake, and is not ignored.
    fn check_applies(&mut self, tree: &Tree<'_>, pointer: &str, type_name: &str) {
        for (keyword, value) in tree.members().unwrap_or_default() {
            let Some((_, applies)) = KEYWORDS.iter().find(|(known, _)| known == keyword) else {
                continue;
            };
            let fits = match applies {
                Applies::Everywhere | Applies::Root => true,
                Applies::Numbers => matches!(type_name, "integer" | "number"),
                Applies::Strings => type_name == "string",
                Applies::Objects => type_name == "object",
                Applies::Arrays => type_name == "array",
            };
            if !fits {
                let message = format!(
                    "the keyword {keyword:?} checks nothing where the type is {type_name:?}; hint: remove it"
                );
                self.fault(value, &format!("{pointer}/{keyword}"), message);
            }
        }
    }

    /// The type other than null, and whether null is one too.
    fn type_of(&mut self, tree: &Tree<'_>, pointer: &str) -> Option<(&'static str, bool)> {
        let at = format!("{pointer}/type");
        let Some(value) = tree.member("type") else {
            let common = type_in_common(&listed(tree));
            if common.is_none() {
                let message =
                    "no type can be derived, and so no column; hint: add a \"type\", such as \"string\""
                        .to_owned();
                self.fault(tree, pointer, message);
            }
            return common;
        };
        let names: Vec<&Tree<'_>> = match &value.json {
            Json::Array(names) => names.iter().collect(),
            _ => vec![value],
        };
        let mut types = Vec::new();
        for name in names {
            let known = name
                .text()
                .and_then(|text| TYPES.iter().find(|known| **known == text));
            match known {
                Some(known) => types.push(*known),
                None => {
                    let nearest = nearest(name.text().unwrap_or_default(), TYPES.iter().copied());
                    let hint = nearest
                        .map(|known| format!("; hint: did you mean {known:?}?"))
                        .unwrap_or_default();
                    self.fault(
                        value,
                        &at,
                        format!(
                            "expected one of {}, found {}{hint}",
                            TYPES.join(", "),
                            name.described()
                        ),
                    );
                    return None;
                }
            }
        }
        let nullable = types.contains(&"null");
        let others: Vec<&'static str> = types.iter().copied().filter(|name| *name != "null").collect();
        match (others.as_slice(), types.len() - others.len()) {
            ([name], ..=1) => Some((name, nullable)),
            _ => {
                let message = format!(
                    "expected one type, or one type and \"null\", found {}; hint: a column has one type",
                    value.described()
                );
                self.fault(value, &at, message);
                None
            }
        }
    }

    /// `enum` and `const` list scalars, and at least one that the field can hold.
    fn check_choices(&mut self, tree: &Tree<'_>, pointer: &str, kind: &Kind) {
        if let Some(value) = tree
            .member("enum")
            .filter(|value| !matches!(value.json, Json::Array(_)))
        {
            self.fault(
                value,
                &format!("{pointer}/enum"),
                format!("expected an array, found {}", value.described()),
            );
        }
        let held: Vec<usize> = match kind {
            Kind::Boolean(rule) => rule.choices.iter().map(|choice| choice.values.len()).collect(),
            Kind::Integer(rule) => rule.choices.iter().map(|choice| choice.values.len()).collect(),
            Kind::Number(rule) => rule.choices.iter().map(|choice| choice.values.len()).collect(),
            Kind::String(rule) => rule.choices.iter().map(|choice| choice.values.len()).collect(),
            Kind::Object(_) | Kind::Array(_) => vec![0; 2],
        };
        for (choice, held) in listed(tree).iter().zip(held) {
            let at = format!("{pointer}/{}", choice.code);
            let value = tree.member(choice.code.as_str()).unwrap_or(tree);
            let has_nested = choice
                .values
                .iter()
                .any(|value| matches!(value.json, Json::Array(_) | Json::Object(_)));
            if has_nested || matches!(kind, Kind::Object(_) | Kind::Array(_)) {
                self.fault(
                    value,
                    &at,
                    format!("{} of objects or arrays is not supported", choice.code),
                );
            } else if held == 0 {
                self.fault(
                    value,
                    &at,
                    format!(
                        "lists no value that is {}; hint: correct it or the type",
                        kind.described()
                    ),
                );
            }
        }
    }

    fn reference(&mut self, tree: &'t Tree<'t>, reference: &'t Tree<'t>, pointer: &str) -> Option<ValueRule> {
        let at = format!("{pointer}/$ref");
        if pointer == "#" {
            self.fault(
                reference,
                &at,
                "the root cannot be a reference; hint: write it out".to_owned(),
            );
            return None;
        }
        for (keyword, value) in tree.members().unwrap_or_default() {
            let stands_beside = keyword == "$ref"
                || ANNOTATIONS.iter().any(|(known, _)| known == keyword)
                || KEYWORDS.contains(&(keyword.as_str(), Applies::Root));
            if !stands_beside {
                let message = format!(
                    "the keyword {keyword:?} beside \"$ref\" is not supported; hint: write the referred schema out"
                );
                self.fault(value, &format!("{pointer}/{keyword}"), message);
            }
        }
        let target = reference
            .text()
            .and_then(|text| text.strip_prefix("#/$defs/"))
            .filter(|name| !name.contains('/'));
        let Some(token) = target else {
            let message = format!(
                "expected a local reference such as \"#/$defs/address\", found {}",
                reference.described()
            );
            self.fault(reference, &at, message);
            return None;
        };
        let name = token.replace("~1", "/").replace("~0", "~");
        let Some(definition) = self
            .root
            .member("$defs")
            .and_then(|definitions| definitions.member(&name))
        else {
            self.fault(reference, &at, format!("there is no {name:?} in \"$defs\""));
            return None;
        };
        let target = format!("#/$defs/{token}");
        if self.expanding.contains(&target) {
            let message = format!(
                "{target:?} refers to itself: a column cannot nest without end; hint: write out as many levels as needed"
            );
            self.fault(reference, &at, message);
            return None;
        }
        if self.expanding.len() >= REFERENCES_MAX {
            self.fault(
                reference,
                &at,
                format!("more than {REFERENCES_MAX} references deep"),
            );
            return None;
        }
        self.expanding.push(target.clone());
        let rule = self.value_rule(definition, &target);
        self.expanding.pop();
        rule
    }

    fn object_rule(
        &mut self,
        tree: &'t Tree<'t>,
        pointer: &str,
        faults: &mut Vec<KeywordFault>,
    ) -> Option<ObjectRule> {
        let rule = ObjectRule {
            fields: self.fields(tree, pointer)?,
            allows_undeclared: match tree.member("additionalProperties") {
                Some(Tree {
                    json: Json::Object(members),
                    ..
                }) if members.is_empty() => true,
                Some(Tree {
                    json: Json::Object(_),
                    ..
                }) => {
                    faults.push((
                        "additionalProperties",
                        "a schema for undeclared fields is not supported, only true or false".to_owned(),
                    ));
                    true
                }
                _ => flag(tree, "additionalProperties", true, faults),
            },
            properties_min: count(tree, "minProperties", faults),
            properties_max: count(tree, "maxProperties", faults),
        };
        if rule.fields.is_empty() && pointer != "#" {
            let message = "an object without properties has no columns; hint: declare its \"properties\", or take the field out of the schema and keep it with extra = true";
            self.fault(tree, pointer, message.to_owned());
        }
        Some(rule)
    }

    fn fields(&mut self, tree: &'t Tree<'t>, pointer: &str) -> Option<Vec<Field>> {
        let members = match tree.member("properties") {
            None => &[],
            Some(properties) => match properties.members() {
                Some(members) => members,
                None => {
                    let message = format!("expected an object, found {}", properties.described());
                    self.fault(properties, &format!("{pointer}/properties"), message);
                    return None;
                }
            },
        };
        let required = self.required(tree, pointer, members);
        let mut fields: Vec<Field> = Vec::with_capacity(members.len());
        let mut complete = true;
        for (index, (name, subschema)) in members.iter().enumerate() {
            let mut at = format!("{pointer}/properties");
            push_token(&mut at, name);
            let before = members[..index].iter().map(|(name, _)| name.as_str());
            if let Some(message) = name_fault(name, before, pointer == "#") {
                self.fault(subschema, &at, message);
            }
            self.fields += 1;
            if self.fields == FIELDS_MAX {
                self.fault(subschema, &at, format!("more than {FIELDS_MAX} fields; hint: declare those that are queried, keep the others with extra = true"));
            }
            if self.fields >= FIELDS_MAX {
                return None;
            }
            match self.value_rule(subschema, &at) {
                Some(rule) => fields.push(Field {
                    name: name.clone(),
                    required: required.contains(&name.as_str()),
                    rule,
                }),
                None => complete = false,
            }
        }
        complete.then_some(fields)
    }

    fn required(
        &mut self,
        tree: &'t Tree<'t>,
        pointer: &str,
        properties: &[(String, Tree<'_>)],
    ) -> Vec<&'t str> {
        let at = format!("{pointer}/required");
        let Some(value) = tree.member("required") else {
            return Vec::new();
        };
        let Json::Array(names) = &value.json else {
            self.fault(
                value,
                &at,
                format!("expected an array of names, found {}", value.described()),
            );
            return Vec::new();
        };
        let mut required = Vec::new();
        for name in names {
            match name.text() {
                None => self.fault(name, &at, format!("expected a name, found {}", name.described())),
                Some(text) if !properties.iter().any(|(known, _)| known == text) => {
                    let hint = match nearest(text, properties.iter().map(|(known, _)| known.as_str())) {
                        Some(known) => format!("did you mean {known:?}?"),
                        None => "declare it there".to_owned(),
                    };
                    self.fault(
                        name,
                        &at,
                        format!("{text:?} is required but not in \"properties\"; hint: {hint}"),
                    );
                }
                Some(text) if required.contains(&text) => {
                    self.fault(name, &at, format!("{text:?} stands twice in \"required\""));
                }
                Some(text) => required.push(text),
            }
        }
        required
    }

    fn array_rule(
        &mut self,
        tree: &'t Tree<'t>,
        pointer: &str,
        faults: &mut Vec<KeywordFault>,
    ) -> Option<ArrayRule> {
        let items_min = count(tree, "minItems", faults);
        let items_max = count(tree, "maxItems", faults);
        let unique = flag(tree, "uniqueItems", false, faults);
        let Some(items) = tree.member("items") else {
            let message = "an array without \"items\" has no type, and so no column; hint: add \"items\": { \"type\": ... }";
            self.fault(tree, pointer, message.to_owned());
            return None;
        };
        let items = self.value_rule(items, &format!("{pointer}/items"))?;
        let has_dates = matches!(&items.kind, Kind::String(text) if matches!(text.format, Some(Format::DateTime | Format::Date)));
        if unique && (has_dates || matches!(items.kind, Kind::Object(_) | Kind::Array(_))) {
            let message = "supported where the items are booleans, numbers or plain strings only".to_owned();
            faults.push(("uniqueItems", message));
        }
        Some(ArrayRule {
            items,
            items_min,
            items_max,
            unique,
        })
    }
}

fn string_rule(
    tree: &Tree<'_>,
    choices: Vec<Choices<Box<str>>>,
    faults: &mut Vec<KeywordFault>,
) -> StringRule {
    let length_min = count(tree, "minLength", faults);
    let length_max = count(tree, "maxLength", faults);
    let mut rule = StringRule {
        choices,
        length_min,
        length_max,
        ..StringRule::default()
    };
    if let Some(value) = tree.member("pattern") {
        match value.text() {
            None => faults.push((
                "pattern",
                format!("expected a string, found {}", value.described()),
            )),
            Some(source) => match Pattern::compile(source) {
                Ok(pattern) => rule.pattern = Some(pattern),
                Err(reason) => faults.push((
                    "pattern",
                    format!("the pattern {source:?} cannot be used: {reason}"),
                )),
            },
        }
    }
    if let Some(value) = tree.member("format") {
        match value.text().map(|text| (Format::from_text(text), text)) {
            None => faults.push((
                "format",
                format!("expected a string, found {}", value.described()),
            )),
            Some((None, text)) => {
                let hint = match nearest(text, Format::ALL.iter().map(|format| format.as_str())) {
                    Some(known) => format!("did you mean {known:?}?"),
                    None => {
                        let all: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
                        format!("supported are {}", all.join(", "))
                    }
                };
                faults.push((
                    "format",
                    format!("the format {text:?} is not supported; hint: {hint}"),
                ));
            }
            Some((format, _)) => rule.format = format,
        }
    }
    rule
}

fn as_integer(value: &Tree<'_>) -> Option<i64> {
    match value.json {
        Json::Number => match integer_of_text(value.raw.as_bytes()) {
            IntegerText::Integer(integer) => Some(integer),
            IntegerText::Beyond | IntegerText::Fraction => None,
        },
        _ => None,
    }
}

fn as_number(value: &Tree<'_>) -> Option<f64> {
    match value.json {
        Json::Number => number_of_text(value.raw),
        _ => None,
    }
}
