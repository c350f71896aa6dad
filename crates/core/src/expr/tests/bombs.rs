//! Templates that try to cost more than they may. Each must end with an error, at once and without much memory.
//!
//! Memory is bounded by the charges themselves, which are made before anything is allocated; so a `Limit` fault is
//! the proof that the allocation did not happen. Time is asserted with a bound that only an unbounded run can miss.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Condition, Expression, Fault, Limits, Template};
use super::{Fixture, compile_error};

/// Far above what a bounded render takes in a debug build on a busy machine, far below what an unbounded one does.
const AT_ONCE: Duration = Duration::from_secs(15);

fn timed<T: Send + 'static>(what: &str, stack: usize, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let builder = std::thread::Builder::new().stack_size(stack);
    let thread = builder.spawn(move || done.send(run())).expect("a thread");
    match result.recv_timeout(AT_ONCE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} takes too long"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{what}: {:?}", thread.join().map(|_| ())),
    }
}

/// Half of what a worker thread has by default; optimised code needs a small part of it.
const STACK: usize = 1 << 20;

fn scope() -> Fixture {
    let big = "x".repeat(1 << 20);
    let list: Vec<Value> = (0..100_000).map(Value::from).collect();
    let rows: Vec<Value> = (0..5_000).map(|id| json!({"id": id, "text": "row"})).collect();
    Fixture::with_context(json!({"big": big, "list": list, "rows": rows, "other": list.clone()})).step("a", json!(1))
}

#[track_caller]
fn refused(value: Value) {
    let shown = value.to_string();
    let shown = &shown[..shown.len().min(100)];
    let template = Template::compile(&value, &Limits::DEFAULT).unwrap_or_else(|error| panic!("{shown}: {error}"));
    let error = timed(shown, STACK, move || template.render(&scope())).expect_err(shown);
    assert!(matches!(error.fault, Fault::Limit(_)), "{shown}: {error}");
}

#[test]
fn a_huge_range_is_refused() {
    refused(json!("{{ range(100000) | list | length }}"));
    refused(json!("{{ range(-9000000000000000000, 9000000000000000000) | length }}"));
}

#[test]
fn nested_loops_run_out_of_operations() {
    refused(json!(
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}"
    ));
    refused(json!("{% for a in context.list %}{% endfor %}"));
}

#[test]
fn a_multiplied_string_is_refused_before_it_is_made() {
    refused(json!("{{ 'x' * 10**9 }}"));
    refused(json!("{{ 'x' * 18446744073709551615 }}"));
    refused(json!("{{ 200000 * 'x' * 200000 }}"));
}

#[test]
fn constants_are_not_folded_at_compile_time() {
    let source = vec!["'x' * 100000000"; 40].join(" ~ ");
    refused(json!(format!("{{{{ {source} }}}}")));
}

#[test]
fn string_doubling_is_refused() {
    refused(json!(format!(
        "{{% set x = 'xxxx' %}}{}{{{{ x | length }}}}",
        "{% set x = x ~ x %}".repeat(60)
    )));
    refused(json!(format!(
        "{{% set x = 'xxxx' %}}{}{{{{ x | length }}}}",
        "{% set x = x + x %}".repeat(60)
    )));
}

#[test]
fn list_doubling_is_refused() {
    refused(json!(format!(
        "{{% set x = [1, 2] %}}{}{{{{ x | length }}}}",
        "{% set x = x + x %}".repeat(60)
    )));
}

#[test]
fn a_tree_that_shares_its_branches_is_refused_when_it_is_written() {
    let source = format!("{{% set x = ['y'] %}}{}", "{% set x = [x, x] %}".repeat(50));
    refused(json!(format!("{source}{{{{ x | tojson }}}}")));
    refused(json!(format!("{source}{{{{ x == x }}}}")));
    refused(json!(format!("{source}{{{{ x ~ '' }}}}")));
    let lone = format!("{}['y']{}", "[[].x | default(".repeat(10), ")]".repeat(10));
    assert!(Expression::compile(&lone, &Limits::DEFAULT).is_ok());
}

#[test]
fn lists_do_not_nest_without_end() {
    refused(json!(format!(
        "{{% set x = [] %}}{}{{{{ x | length }}}}",
        "{% set x = [x] %}".repeat(500)
    )));
}

#[test]
fn large_output_is_refused() {
    refused(json!(
        "{% for a in range(9999) %}0123456789012345678901234567890123456789{% endfor %}"
    ));
    refused(json!("{{ context.big }}!"));
    let many: Vec<Value> = (0..10).map(|_| json!("{{ context.big }}")).collect();
    refused(json!(many));
}

#[test]
fn repeated_work_on_large_data_is_charged_by_its_size() {
    refused(json!(
        "{% for a in range(9999) %}{% if 'y' in context.big %}{% endif %}{% endfor %}"
    ));
    refused(json!(
        "{% for a in range(9999) %}{% if context.list == context.other %}{% endif %}{% endfor %}"
    ));
    refused(json!(
        "{% for a in range(9999) %}{{ context.big | length }}{% endfor %}"
    ));
    refused(json!(
        "{% for a in range(9999) %}{% if context.big < context.big %}{% endif %}{% endfor %}"
    ));
    refused(json!(
        "{% for a in range(9999) %}{% if 'y' is in context.list %}{% endif %}{% endfor %}"
    ));
    refused(json!(
        "{% for a in range(9999) %}{% if context.rows == context.rows %}{% endif %}{% endfor %}"
    ));
}

#[test]
fn filters_that_amplify_are_refused() {
    refused(json!(
        "{{ context.big | replace('x', 'yyyyyyyyyyyyyyyyyyyy') | length }}"
    ));
    refused(json!("{{ context.big | upper | length }}"));
    refused(json!("{{ context.list | join(context.big) | length }}"));
    refused(json!("{{ context.list | map('string') | join(',') | length }}"));
    refused(json!("{{ context.big | split('x') | length }}"));
    refused(json!("{{ context.list | tojson(indent=8) | length }}"));
    refused(json!("{{ (('\u{e9}' * 60000) | urlencode | length) }}"));
    refused(json!("{{ context.list | unique | length }}"));
    refused(json!("{{ range(9999) | unique | length }}"));
    refused(json!("{{ context.list | sort | length }}"));
    refused(json!(
        "{% for a in range(999) %}{% set b = context.rows | map(attribute='id') %}{% endfor %}"
    ));
}

#[test]
fn parsing_json_is_priced_by_what_it_makes() {
    refused(json!("{{ ('[' ~ ('[],' * 80000) ~ '1]') | fromjson | length }}"));
    refused(json!(
        "{% set t = '[' ~ ('0,' * 9000) ~ '0]' %}{% for a in range(9999) %}{% set b = t | fromjson %}{% endfor %}"
    ));
    let deep = Template::compile(&json!("{{ ('[' * 100000) | fromjson }}"), &Limits::DEFAULT).unwrap();
    assert!(timed("deep", STACK, move || deep.render(&scope())).is_err());
    let deep = Template::compile(&json!("{{ ('[' * 100 ~ ']' * 100) | fromjson }}"), &Limits::DEFAULT).unwrap();
    assert!(matches!(deep.render(&scope()).unwrap_err().fault, Fault::Limit(_)));
}

#[test]
fn many_strings_share_one_allowance() {
    let one = "{% for a in range(200) %}{% for b in range(200) %}{% endfor %}{% endfor %}";
    refused(json!(vec![one; 200]));
}

#[test]
fn deep_nesting_is_a_compile_error_and_no_stack_overflow() {
    let run = || {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("{'a':", "}"),
            ("x[", "]"),
            ("x|default(", ")"),
            ("1 if 1 else ", ""),
        ] {
            for depth in [1_000, 100_000] {
                let source = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let error = Condition::compile(&source, &Limits::DEFAULT)
                    .expect_err(open)
                    .to_string();
                assert!(
                    error.contains("nested deeper") || error.contains("longer than"),
                    "{open}: {error}"
                );
            }
        }
        let huge = Limits {
            source: 1 << 20,
            condition: 1 << 20,
            ..Limits::DEFAULT
        };
        for (open, close) in [("(", ")"), ("[", "]"), ("1 if 1 else ", "")] {
            let source = format!("{}1{}", open.repeat(50_000), close.repeat(50_000));
            assert!(
                Condition::compile(&source, &huge)
                    .unwrap_err()
                    .message
                    .contains("nested deeper"),
                "{open}"
            );
        }
        let blocks = format!("{}{}", "{% if 1 %}".repeat(700), "{% endif %}".repeat(700));
        assert!(compile_error(&blocks).contains("nested deeper"));
        let inner = json!(format!(
            "{{{{ {}context.a{} is defined }}}}",
            "[".repeat(28),
            "]".repeat(28)
        ));
        let nested = (0..60).fold(inner, |inner, _| json!({"k": inner}));
        assert!(Template::compile(&nested, &huge).unwrap().render(&scope()).is_ok());
        let allowed = format!("{}context.a{} is defined", "(".repeat(25), ")".repeat(25));
        assert!(!Condition::compile(&allowed, &huge).unwrap().evaluate(&scope()).unwrap());
    };
    timed("nesting", STACK, run);
}

#[test]
fn long_runs_of_operators_do_not_recurse() {
    let huge = Limits {
        source: 1 << 20,
        condition: 1 << 20,
        ..Limits::DEFAULT
    };
    let run = move || {
        for (unit, last) in [
            ("-", "1"),
            ("not ", "1"),
            ("1 + ", "1"),
            ("1 ~ ", "1"),
            ("1 < ", "2"),
            ("1 and ", "1"),
            ("1 ** ", "1"),
        ] {
            let source = format!("{}{last}", unit.repeat(20_000));
            let result = Condition::compile(&source, &huge).expect(unit).evaluate(&scope());
            assert!(
                result.is_ok() || matches!(result, Err(ref error) if matches!(error.fault, Fault::Limit(_))),
                "{unit}"
            );
        }
        for unit in [".a", "[0]", "|d", " is defined"] {
            let source = format!("x{}", unit.repeat(20_000));
            assert!(Condition::compile(&source, &huge).is_ok(), "{unit}");
        }
    };
    timed("operators", STACK, run);
}

#[test]
fn source_text_and_json_depth_are_bounded() {
    assert!(compile_error(&format!("{{{{ 1 }}}}{}", " ".repeat(17_000))).contains("longer than 16384 bytes"));
    let long = "x".repeat(5_000);
    assert!(
        Condition::compile(&long, &Limits::DEFAULT)
            .unwrap_err()
            .message
            .contains("longer than 4096 bytes")
    );
    // Plain text is data, not source.
    assert!(
        Template::compile(&json!("x".repeat(100_000)), &Limits::DEFAULT)
            .unwrap()
            .is_literal()
    );
    let nest = |depth: usize| (0..depth).fold(json!("{{ 1 }}"), |inner, _| json!([inner]));
    assert!(Template::compile(&nest(64), &Limits::DEFAULT).is_ok());
    assert!(
        Template::compile(&nest(65), &Limits::DEFAULT)
            .unwrap_err()
            .message
            .contains("nested deeper than 64")
    );
    let deep = Fixture::with_context(nest(60));
    let template = Template::compile(&json!([[[[["{{ context }}"]]]]]), &Limits::DEFAULT).unwrap();
    assert!(matches!(template.render(&deep).unwrap_err().fault, Fault::Limit(_)));
}

#[test]
fn reading_tens_of_thousands_of_steps_does_not_recurse_on_drop() {
    let mut scope = Fixture::default();
    for step in 0..3_000 {
        scope = scope.step(&format!("s{step}"), json!(step));
    }
    let template = Template::compile(&json!("{{ steps | length }}/{{ steps.s7.output }}"), &Limits::DEFAULT).unwrap();
    assert_eq!(template.render(&scope).unwrap(), json!("3000/7"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(source in "[{}%|.a-c0-9 '\\[\\]()+*~=<>,:-]{0,60}") {
        let wrapped = format!("{{{{ {source} }}}}{{% {source} %}}");
        let _ = Template::compile(&json!(wrapped), &Limits::DEFAULT);
        if let Ok(condition) = Condition::compile(&source, &Limits::DEFAULT) {
            let _ = condition.evaluate(&Fixture::with_context(json!({"a": 1})));
        }
    }

    #[test]
    fn any_json_passes_through_unchanged(text in "\\PC{0,20}", int in proptest::num::i64::ANY, float in proptest::num::f64::NORMAL) {
        let value = json!({"text": text, "list": [int, float, null], "map": {"k": {"v": text}}});
        let scope = Fixture::with_context(value.clone());
        let template = Template::compile(&json!("{{ context }}"), &Limits::DEFAULT).unwrap();
        proptest::prop_assert_eq!(template.render(&scope).unwrap(), value.clone());
        let template = Template::compile(&json!("{{ context | tojson | fromjson }}"), &Limits::DEFAULT).unwrap();
        proptest::prop_assert_eq!(template.render(&scope).unwrap(), value);
    }
}
