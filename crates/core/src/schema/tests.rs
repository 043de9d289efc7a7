//! What a schema's text compiles to, and every way it can be refused.

use super::*;

fn faults(text: &str) -> Vec<SchemaFault> {
    compile(text).map(|schema| format!("{schema:?}")).expect_err(text)
}

/// A schema whose field `f` is this.
fn with_field(subschema: &str) -> String {
    format!(r#"{{"type":"object","properties":{{"f":{subschema}}}}}"#)
}

fn field(subschema: &str) -> Field {
    compile(&with_field(subschema))
        .expect(subschema)
        .root
        .fields
        .remove(0)
}

/// The only fault of a schema: where, and a part of what it says.
fn assert_only_fault(text: &str, pointer: &str, said: &str) {
    let found = faults(text);
    let [fault] = found.as_slice() else {
        panic!("{text}: {found:?}")
    };
    assert_eq!(fault.pointer, pointer, "{text}: {fault}");
    assert!(fault.message.contains(said), "{text}: {fault}");
}

fn assert_field_fault(subschema: &str, below: &str, said: &str) {
    assert_only_fault(&with_field(subschema), &format!("#/properties/f{below}"), said);
}

#[test]
fn fields_keep_the_order_of_the_text() {
    let schema = compile(r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer"},"m":{"type":"boolean"}},"required":["m"]}"#)
        .expect("a schema");
    let names: Vec<(&str, bool)> = schema
        .fields()
        .iter()
        .map(|field| (field.name.as_str(), field.required))
        .collect();
    assert_eq!(names, [("z", false), ("a", false), ("m", true)]);
    assert!(schema.root.allows_undeclared);
}

#[test]
fn every_fault_is_reported_at_once_with_its_line() {
    let text = r#"{
  "type": "object",
  "properties": {
    "a": { "type": "integer", "minimun": 3 },
    "b": { "type": "strnig" },
    "date": { "type": "string", "pattern": "(?=x)" },
    "c": {}
  },
  "required": ["d"],
  "allOf": []
}"#;
    let found: Vec<(Option<usize>, String)> = faults(text)
        .into_iter()
        .map(|fault| (fault.line, fault.pointer))
        .collect();
    assert_eq!(
        found,
        [
            (Some(4), "#/properties/a/minimun".to_owned()),
            (Some(5), "#/properties/b/type".to_owned()),
            (Some(6), "#/properties/date".to_owned()),
            (Some(6), "#/properties/date/pattern".to_owned()),
            (Some(7), "#/properties/c".to_owned()),
            (Some(9), "#/required".to_owned()),
            (Some(10), "#/allOf".to_owned()),
        ]
    );
    let all = faults(text);
    assert!(all[0].message.contains("did you mean \"minimum\""), "{}", all[0]);
    assert_eq!(
        all[6].to_string(),
        "line 10: #/allOf: the keyword \"allOf\" is not supported"
    );
}

#[test]
fn a_fault_is_one_line_whatever_the_value_looks_like() {
    let found = faults("{\"type\": {\r\n\t\"a\":\t1\n  },\n \"properties\": {}}");
    assert!(
        found
            .iter()
            .any(|fault| fault.message.ends_with("found { \"a\": 1 }")),
        "{found:?}"
    );
    let long = format!("{{\"type\": {{\n{}\"a\": 1}}}}", " ".repeat(1_000));
    let found = faults(&long);
    assert!(
        found.iter().all(|fault| !fault.message.contains('\n')),
        "{found:?}"
    );
}

#[test]
fn every_other_keyword_of_the_specification_is_refused_by_name() {
    for keyword in [
        "$anchor",
        "$dynamicAnchor",
        "$dynamicRef",
        "$vocabulary",
        "$recursiveRef",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "dependentSchemas",
        "dependentRequired",
        "dependencies",
        "definitions",
        "prefixItems",
        "additionalItems",
        "contains",
        "minContains",
        "maxContains",
        "patternProperties",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "x-mine",
        "nullable",
        "id",
    ] {
        assert_field_fault(
            &format!(r#"{{"type":"string","{keyword}":true}}"#),
            &format!("/{keyword}"),
            "is not supported",
        );
    }
}

#[test]
fn annotations_are_free_and_checked_for_their_own_shape() {
    field(
        r#"{"type":"string","title":"t","description":"d","$comment":"c","default":1,"examples":[1],"deprecated":true,"readOnly":true,"writeOnly":false}"#,
    );
    assert_field_fault(r#"{"type":"string","title":1}"#, "/title", "expected a string");
    assert_field_fault(
        r#"{"type":"string","examples":1}"#,
        "/examples",
        "expected an array",
    );
    assert_field_fault(
        r#"{"type":"string","deprecated":"no"}"#,
        "/deprecated",
        "expected true or false",
    );
    compile(
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"https://a/b","type":"object"}"#,
    )
    .expect("a schema");
    assert_only_fault(
        r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}"#,
        "#/$schema",
        "2020-12",
    );
    assert_field_fault(r#"{"type":"string","$id":"x"}"#, "/$id", "at the root only");
}

#[test]
fn a_type_stands_alone_or_with_null_or_follows_from_the_values() {
    assert_eq!(field(r#"{"type":"integer"}"#).rule.null, NullRule::RefusedByType);
    assert_eq!(
        field(r#"{"type":["null","integer"]}"#).rule.null,
        NullRule::Accepted
    );
    assert!(matches!(
        field(r#"{"type":["string"]}"#).rule.kind,
        Kind::String(_)
    ));
    assert!(matches!(
        field(r#"{"enum":["a","b"]}"#).rule.kind,
        Kind::String(_)
    ));
    assert!(matches!(field(r#"{"const":1.0}"#).rule.kind, Kind::Integer(_)));
    assert!(matches!(field(r#"{"enum":[1,2.5]}"#).rule.kind, Kind::Number(_)));
    assert!(matches!(field(r#"{"const":false}"#).rule.kind, Kind::Boolean(_)));
    assert_eq!(field(r#"{"enum":[null,1]}"#).rule.null, NullRule::Accepted);
    assert_eq!(
        field(r#"{"type":["string","null"],"enum":["a"]}"#).rule.null,
        NullRule::RefusedByChoice(crate::violation::Code::Enum)
    );
    assert_eq!(
        field(r#"{"type":["string","null"],"enum":["a",null],"const":"a"}"#)
            .rule
            .null,
        NullRule::RefusedByChoice(crate::violation::Code::Const)
    );
    for subschema in [
        r#"{"type":["string","integer"]}"#,
        r#"{"type":"null"}"#,
        r#"{"type":[]}"#,
        r#"{"type":["string","string"]}"#,
        r#"{"type":["null","null"]}"#,
    ] {
        assert_field_fault(subschema, "/type", "one type");
    }
    assert_field_fault(r#"{"type":"int"}"#, "/type", "integer");
    for subschema in [
        "{}",
        "true",
        r#"{"enum":[1,"a"]}"#,
        r#"{"enum":[]}"#,
        r#"{"const":null}"#,
        r#"{"minimum":1}"#,
    ] {
        assert_field_fault(subschema, "", "type");
    }
    assert_field_fault("false", "", "additionalProperties");
    assert_field_fault("3", "", "expected a schema");
}

#[test]
fn values_that_a_field_cannot_hold_are_a_mistake() {
    assert_field_fault(
        r#"{"type":"string","enum":[1]}"#,
        "/enum",
        "no value that is a string",
    );
    assert_field_fault(
        r#"{"type":"string","const":1}"#,
        "/const",
        "no value that is a string",
    );
    assert_field_fault(r#"{"type":"integer","enum":[1.5]}"#, "/enum", "no value");
    assert_field_fault(
        r#"{"type":"string","enum":["a",{}]}"#,
        "/enum",
        "objects or arrays",
    );
    assert_field_fault(r#"{"type":"string","enum":"a"}"#, "/enum", "expected an array");
    assert_field_fault(
        r#"{"type":"array","items":{"type":"string"},"const":[]}"#,
        "/const",
        "objects or arrays",
    );
}

#[test]
fn a_keyword_that_says_nothing_about_the_type_is_refused() {
    for (subschema, keyword) in [
        (r#"{"type":"integer","minLength":1}"#, "minLength"),
        (r#"{"type":"string","minimum":1}"#, "minimum"),
        (r#"{"type":"boolean","pattern":"a"}"#, "pattern"),
        (r#"{"type":"integer","format":"date"}"#, "format"),
        (r#"{"type":"string","items":{"type":"string"}}"#, "items"),
        (r#"{"type":"string","properties":{}}"#, "properties"),
        (r#"{"type":"string","uniqueItems":true}"#, "uniqueItems"),
    ] {
        assert_field_fault(subschema, &format!("/{keyword}"), "checks nothing");
    }
}

#[test]
fn bounds_of_integers_are_rounded_to_decide_alike() {
    let bounds = |subschema: &str| match field(subschema).rule.kind {
        Kind::Integer(rule) => rule
            .bounds
            .iter()
            .map(|bound| (bound.code.as_str(), bound.limit))
            .collect::<Vec<_>>(),
        kind => panic!("{kind:?}"),
    };
    assert_eq!(
        bounds(r#"{"type":"integer","minimum":0.5,"exclusiveMinimum":0.5}"#),
        [("minimum", 1), ("exclusiveMinimum", 0)]
    );
    assert_eq!(
        bounds(r#"{"type":"integer","maximum":-0.5,"exclusiveMaximum":-0.5}"#),
        [("maximum", -1), ("exclusiveMaximum", 0)]
    );
    assert_eq!(
        bounds(r#"{"type":"integer","maximum":1e30,"minimum":-1e30}"#),
        [("minimum", i64::MIN), ("maximum", i64::MAX)]
    );
    assert_field_fault(
        r#"{"type":"integer","minimum":1e30}"#,
        "/minimum",
        "beyond a 64-bit integer",
    );
    assert_field_fault(
        r#"{"type":"integer","exclusiveMaximum":1e30}"#,
        "/exclusiveMaximum",
        "beyond",
    );
    assert_field_fault(
        r#"{"type":"integer","maximum":12345678901234567.5}"#,
        "/maximum",
        "more digits",
    );
    assert_field_fault(
        r#"{"type":"number","maximum":"1"}"#,
        "/maximum",
        "expected a number",
    );
    assert_field_fault(r#"{"type":"number","multipleOf":0}"#, "/multipleOf", "above 0");
    assert_field_fault(r#"{"type":"number","multipleOf":-1}"#, "/multipleOf", "above 0");
    assert_field_fault(
        r#"{"type":"string","minLength":-1}"#,
        "/minLength",
        "integer from 0",
    );
    assert_field_fault(
        r#"{"type":"string","maxLength":1.5}"#,
        "/maxLength",
        "integer from 0",
    );
    assert!(matches!(
        field(r#"{"type":"string","maxLength":2.0}"#).rule.kind,
        Kind::String(StringRule {
            length_max: Some(2),
            ..
        })
    ));
}

#[test]
fn formats_are_asserted_or_refused_by_name() {
    for format in Format::ALL {
        field(&format!(r#"{{"type":"string","format":"{}"}}"#, format.as_str()));
    }
    for format in [
        "idn-email",
        "idn-hostname",
        "iri",
        "iri-reference",
        "uri-template",
        "relative-json-pointer",
        "regex",
        "int64",
        "mine",
    ] {
        assert_field_fault(
            &format!(r#"{{"type":"string","format":"{format}"}}"#),
            "/format",
            format,
        );
    }
    assert_field_fault(
        r#"{"type":"string","format":"datetime"}"#,
        "/format",
        "did you mean \"date-time\"",
    );
    assert_field_fault(r#"{"type":"string","format":1}"#, "/format", "expected a string");
    assert_field_fault(
        r#"{"type":"string","pattern":1}"#,
        "/pattern",
        "expected a string",
    );
    assert_field_fault(
        r#"{"type":"string","pattern":"a\\1"}"#,
        "/pattern",
        "backreferences",
    );
}

#[test]
fn names_that_collide_are_refused() {
    let root = |names: &[&str]| {
        let properties: Vec<String> = names
            .iter()
            .map(|name| format!(r#""{name}":{{"type":"string"}}"#))
            .collect();
        format!(r#"{{"type":"object","properties":{{{}}}}}"#, properties.join(","))
    };
    for name in ["_kafka_offset", "_KAFKA_x", "_extra", "_Extra", "date", "Hour"] {
        assert_only_fault(
            &root(&[name]),
            &format!("#/properties/{name}"),
            "cannot be a column",
        );
    }
    assert_only_fault(
        &root(&["UserId", "userid"]),
        "#/properties/userid",
        "differ by case",
    );
    assert_only_fault(&root(&[""]), "#/properties/", "cannot name a column");
    assert_only_fault(
        &root(&["a\\u0000"]),
        "#/properties/a\u{0}",
        "cannot name a column",
    );
    compile(&root(&["_kafka", "dates", "a.b", "a b", "été"])).expect("names that collide with nothing");
    // Within an object there are no Hive keys.
    field(r#"{"type":"object","properties":{"date":{"type":"string"},"_extra":{"type":"string"}}}"#);
    assert_field_fault(
        r#"{"type":"object","properties":{"a":{"type":"string"},"A":{"type":"string"}}}"#,
        "/properties/A",
        "differ by case",
    );
}

#[test]
fn objects_and_arrays_have_columns() {
    assert_field_fault(r#"{"type":"object"}"#, "", "no columns");
    assert_field_fault(r#"{"type":"array"}"#, "", "\"items\"");
    assert_field_fault(r#"{"type":"array","items":{}}"#, "/items", "type");
    assert_field_fault(
        r#"{"type":"array","items":{"type":"string","format":"date"},"uniqueItems":true}"#,
        "/uniqueItems",
        "plain strings",
    );
    assert_field_fault(
        r#"{"type":"array","items":{"type":"array","items":{"type":"string"}},"uniqueItems":true}"#,
        "/uniqueItems",
        "plain strings",
    );
    assert_field_fault(
        r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":{"type":"string"}}"#,
        "/additionalProperties",
        "true or false",
    );
    assert_field_fault(
        r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a","a"]}"#,
        "/required",
        "twice",
    );
    assert_field_fault(
        r#"{"type":"object","properties":[]}"#,
        "/properties",
        "expected an object",
    );
    for text in [
        r#"{"type":"array","items":{"type":"string"}}"#,
        r#"{"type":["object","null"]}"#,
        r#"{"const":1}"#,
    ] {
        assert!(
            faults(text)
                .iter()
                .any(|fault| fault.message.contains("the root must be an object")),
            "{text}"
        );
    }
    assert!(faults("[]")[0].message.contains("expected a schema"));
    assert!(
        compile(r#"{"type":"object"}"#)
            .expect("a root may declare nothing")
            .fields()
            .is_empty()
    );
}

#[test]
fn local_references_are_followed_and_never_without_end() {
    let text = r##"{"type":"object","$defs":{"id":{"type":"integer","minimum":1},"pair":{"type":"object","properties":{"a":{"$ref":"#/$defs/id"}}}},
        "properties":{"p":{"$ref":"#/$defs/pair","description":"d"},"q":{"type":"array","items":{"$ref":"#/$defs/id"}}}}"##;
    let schema = compile(text).expect("a schema");
    assert!(
        matches!(&schema.fields()[0].rule.kind, Kind::Object(object) if matches!(object.fields[0].rule.kind, Kind::Integer(_)))
    );
    for (text, pointer, said) in [
        (
            r##"{"type":"object","$defs":{"n":{"type":"object","properties":{"next":{"$ref":"#/$defs/n"}}}}}"##,
            "#/$defs/n/properties/next/$ref",
            "refers to itself",
        ),
        (
            r##"{"type":"object","properties":{"f":{"$ref":"#/$defs/x"}}}"##,
            "#/properties/f/$ref",
            "there is no",
        ),
        (
            r##"{"type":"object","properties":{"f":{"$ref":"#"}}}"##,
            "#/properties/f/$ref",
            "local reference",
        ),
        (
            r##"{"type":"object","properties":{"f":{"$ref":"https://a/b"}}}"##,
            "#/properties/f/$ref",
            "local reference",
        ),
        (
            r##"{"type":"object","$defs":{"x":{"type":"string"}},"properties":{"f":{"$ref":"#/$defs/x","minLength":1}}}"##,
            "#/properties/f/minLength",
            "beside",
        ),
        (
            r##"{"type":"object","$defs":{"x":{"type":"string","nonsense":1}}}"##,
            "#/$defs/x/nonsense",
            "not supported",
        ),
        (
            r##"{"$ref":"#/$defs/x","$defs":{"x":{"type":"object"}}}"##,
            "#/$ref",
            "the root cannot be a reference",
        ),
        (
            r##"{"type":"object","$defs":[]}"##,
            "#/$defs",
            "expected an object",
        ),
    ] {
        assert!(
            faults(text)
                .iter()
                .any(|fault| fault.pointer == pointer && fault.message.contains(said)),
            "{text}: {:?}",
            faults(text)
        );
    }
}

#[test]
fn what_multiplies_without_end_is_stopped() {
    // Each definition holds two of the next: 2^40 fields, if they were written out.
    let definitions: Vec<String> = (0..40)
        .map(|index| {
            let next = index + 1;
            format!(r##""d{index}":{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/d{next}"}},"b":{{"$ref":"#/$defs/d{next}"}}}}}}"##)
        })
        .collect();
    let text = format!(
        r##"{{"type":"object","properties":{{"f":{{"$ref":"#/$defs/d0"}}}},"$defs":{{{},"d40":{{"type":"string"}}}}}}"##,
        definitions.join(",")
    );
    let found = faults(&text);
    assert!(
        found
            .iter()
            .any(|fault| fault.message.contains("references deep")),
        "{found:?}"
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(faults(&deep)[0].message.contains("deeper"));
    let many: Vec<String> = (0..6_000)
        .map(|index| format!(r#""f{index}":{{"type":"string"}}"#))
        .collect();
    let found = faults(&format!(
        r#"{{"type":"object","properties":{{{}}}}}"#,
        many.join(",")
    ));
    assert!(
        found.iter().any(|fault| fault.message.contains("fields")),
        "{found:?}"
    );
}

#[test]
fn what_is_not_json_is_said_with_its_line() {
    for (text, line) in [
        ("", 1),
        ("{\n\n  \"type\": \"object\",\n}", 4),
        ("nonsense", 1),
        ("{}{}", 1),
        ("\u{feff}{}", 1),
    ] {
        let found = faults(text);
        assert_eq!(found[0].line, Some(line), "{text}: {found:?}");
        assert!(found[0].message.contains("not JSON"), "{text}: {found:?}");
    }
    assert_only_fault("{\"type\":\"object\",\n\"type\":\"object\"}", "#/type", "twice");
}

#[test]
fn the_event_time_is_a_field_that_is_always_there() {
    let schema = compile(
        r#"{"type":"object","properties":{"at":{"type":"string","format":"date-time"},"ms":{"type":"integer"},"day":{"type":"string","format":"date"},
        "maybe":{"type":"string","format":"date-time"},"nil":{"type":["string","null"],"format":"date-time"}},"required":["at","ms","day","nil"]}"#,
    )
    .expect("a schema");
    assert_eq!(
        schema.event_time_of("at", None),
        Ok(EventTime::DateTime {
            field: "at".to_owned()
        })
    );
    let millis = EventTime::Integer {
        field: "ms".to_owned(),
        unit: EventTimeUnit::Millis,
    };
    assert_eq!(
        schema.event_time_of("ms", Some(EventTimeUnit::Millis)),
        Ok(millis)
    );
    for (field, unit, said) in [
        ("at", Some(EventTimeUnit::Millis), "needs no event_time_unit"),
        ("ms", None, "event_time_unit"),
        ("day", None, "date-time"),
        ("maybe", None, "may be absent"),
        ("nil", None, "may be null"),
        ("att", None, "did you mean \"at\""),
        ("nothing_like_it", None, "no field"),
    ] {
        let error = schema.event_time_of(field, unit).expect_err(field);
        assert!(error.contains(said), "{field}: {error}");
    }
}

#[test]
fn settings_that_contradict_the_schema_are_found() {
    let closed = compile(r#"{"type":"object","additionalProperties":false}"#).expect("a schema");
    let open = compile(r#"{"type":"object"}"#).expect("a schema");
    assert_eq!(DecodeRules::new(open.clone()).fault(), None);
    let fault = |rules: DecodeRules| rules.fault().expect("a fault");
    assert!(
        fault(DecodeRules {
            extra: true,
            ..DecodeRules::new(closed)
        })
        .contains("additionalProperties")
    );
    assert!(
        fault(DecodeRules {
            record_bytes_max: 0,
            ..DecodeRules::new(open.clone())
        })
        .contains("max_record")
    );
    assert!(
        fault(DecodeRules {
            record_bytes_max: usize::MAX,
            ..DecodeRules::new(open.clone())
        })
        .contains("max_record")
    );
    assert!(
        fault(DecodeRules {
            future_micros_max: -1,
            ..DecodeRules::new(open.clone())
        })
        .contains("max_future")
    );
    let event_time = EventTime::DateTime {
        field: "at".to_owned(),
    };
    assert!(
        fault(DecodeRules {
            event_time,
            ..DecodeRules::new(open)
        })
        .contains("no field")
    );
}
