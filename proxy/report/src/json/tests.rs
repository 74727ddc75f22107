//! The JSON against its schema, in both directions.

use serde_json::Value;

use super::*;
use crate::sample;

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/report.schema.json")).expect("the schema is JSON")
}

fn written(report: &Report) -> Value {
    serde_json::from_str(&render(report).expect("it can be written")).expect("what was written is JSON")
}

#[test]
fn every_report_keeps_to_its_schema() {
    let schema = schema();
    for report in [sample::report(), sample::empty(), sample::hostile()] {
        let mut broken = Vec::new();
        check(&written(&report), &schema, &schema, "", &mut broken);
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

#[test]
fn a_report_with_a_wrong_word_is_refused() {
    let schema = schema();
    for (pointer, wrong) in [
        ("/verdict/hop", Value::from("kubectl")),
        ("/verdict/confidence", Value::from(1.5)),
        ("/totals/requests", Value::from("many")),
        ("/totals/failed", Value::from(-1)),
        ("/totals", Value::from(Vec::<u8>::new())),
        ("/generator/failures_by_hop", serde_json::json!({"kubectl": 1})),
        ("/schema", Value::from("hopscope.report/2")),
        ("/hops/0", serde_json::json!({"hop": "backend"})),
    ] {
        let mut document = written(&sample::hostile());
        *document.pointer_mut(pointer).expect(pointer) = wrong;
        let mut broken = Vec::new();
        check(&document, &schema, &schema, "", &mut broken);
        assert!(!broken.is_empty(), "{pointer}");
    }
}

/// Keywords of JSON Schema that the check below knows. A schema with another one would be checked in part only.
const KNOWN: [&str; 18] = [
    "$schema",
    "$id",
    "$defs",
    "$ref",
    "title",
    "description",
    "format",
    "type",
    "const",
    "enum",
    "minimum",
    "maximum",
    "required",
    "properties",
    "items",
    "additionalProperties",
    "propertyNames",
    "oneOf",
];

/// A small validator of the keywords that our schema uses (draft 2020-12); a whole one would be the largest dependency
/// of the workspace.
fn check(value: &Value, schema: &Value, root: &Value, at: &str, broken: &mut Vec<String>) {
    let schema = resolved(schema, root);
    for keyword in schema.as_object().expect("a schema is an object").keys() {
        assert!(
            KNOWN.contains(&keyword.as_str()),
            "the check does not know `{keyword}`"
        );
    }
    let mut fail = |what: String| broken.push(format!("{at}: {what}"));
    if let Some(kind) = schema.get("type") {
        let kinds: Vec<_> = kind
            .as_array()
            .map_or_else(|| vec![kind], |kinds| kinds.iter().collect());
        if !kinds
            .iter()
            .any(|kind| is_a(value, kind.as_str().expect("a type is a word")))
        {
            fail(format!("{value} is not {kind}"));
        }
    }
    if schema.get("const").is_some_and(|only| only != value) {
        fail(format!("{value} is another constant"));
    }
    if schema
        .get("enum")
        .and_then(Value::as_array)
        .is_some_and(|words| !words.contains(value))
    {
        fail(format!("{value} is none of the words"));
    }
    if let Some(number) = value.as_f64() {
        let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
        if limit("minimum").is_some_and(|least| number < least)
            || limit("maximum").is_some_and(|most| number > most)
        {
            fail(format!("{number} is out of range"));
        }
    }
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        if value.is_object() && value.get(name.as_str().expect("a name")).is_none() {
            fail(format!("{name} is missing"));
        }
    }
    for (name, child) in value.as_object().into_iter().flatten() {
        if let Some(names) = schema.get("propertyNames") {
            check(&Value::from(name.as_str()), names, root, at, broken);
        }
        let known = schema
            .get("properties")
            .and_then(|properties| properties.get(name));
        if let Some(known) = known.or_else(|| schema.get("additionalProperties")) {
            check(child, known, root, &format!("{at}/{name}"), broken);
        }
    }
    if let Some(items) = schema.get("items") {
        for item in value.as_array().into_iter().flatten() {
            check(item, items, root, at, broken);
        }
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        let fits = |choice: &&Value| {
            let mut broken = Vec::new();
            check(value, choice, root, at, &mut broken);
            broken.is_empty()
        };
        if choices.iter().filter(fits).count() != 1 {
            broken.push(format!("{at}: fits none, or several, of the choices"));
        }
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// The schema allows fields that it does not know, for readers; a field that we write has to be in it.
#[test]
fn every_field_that_is_written_is_documented() {
    let schema = schema();
    let mut undocumented = Vec::new();
    for report in [sample::report(), sample::hostile()] {
        walk(&written(&report), &schema, &schema, "", &mut undocumented);
    }
    assert!(undocumented.is_empty(), "{undocumented:#?}");
}

fn walk(value: &Value, schema: &Value, root: &Value, at: &str, undocumented: &mut Vec<String>) {
    let schema = resolved(schema, root);
    let schema = schema
        .pointer("/oneOf/1")
        .map_or(schema, |choice| resolved(choice, root));
    match value {
        Value::Object(fields) => {
            for (name, child) in fields {
                let known = schema.pointer(&format!("/properties/{name}"));
                match known.or_else(|| schema.get("additionalProperties")) {
                    Some(known) => walk(child, known, root, &format!("{at}/{name}"), undocumented),
                    None => undocumented.push(format!("{at}/{name}")),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                walk(
                    item,
                    schema.get("items").unwrap_or(&Value::Null),
                    root,
                    at,
                    undocumented,
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect(reference),
        None => schema,
    }
}
