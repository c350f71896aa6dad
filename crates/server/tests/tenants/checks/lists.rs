//! Checks 7 and 8: lists, and whose workflows they show.

use serde_json::{Value, json};

use super::tenants::{Answer, House, assert_refused, request, text, whole, workflow};

fn ids(page: &Value) -> Vec<String> {
    let workflows = page["workflows"].as_array().expect("a list");
    workflows.iter().map(|summary| text(summary, "id")).collect()
}

#[test]
fn check_7_another_tenants_workflow_is_not_there_whatever_is_asked_of_it() {
    let house = House::start();
    house.worker.teach("a", Answer::held("late"));
    let id = house.execute(&request(&[("a", &[])]));
    house.worker.wait_for("a", 1);
    let unknown = "wf_intent-1_00000000000000000000000000";
    let malformed = "wf_intent-1";
    let renamed = id.replace("intent-1", "intent-2");
    for (tenant, id) in [
        ("t2", id.as_str()),
        ("t1", unknown),
        ("t1", malformed),
        ("t1", &renamed),
    ] {
        let path = workflow(tenant, id);
        assert_refused(&house.get(&path), 404, "workflow not found");
        assert_refused(&house.get(&format!("{path}/metrics")), 404, "workflow not found");
        for (verb, body) in [
            ("pause", "{}"),
            ("resume", "{}"),
            ("cancel", "{}"),
            ("retry", r#"{"task_id":"a"}"#),
        ] {
            assert_refused(&house.post(&format!("{path}/{verb}"), body), 404, "workflow not found");
        }
    }
    assert_eq!(
        house.list("t2", ""),
        json!({ "workflows": [], "total": 0, "page": 0, "page_size": 20 })
    );
    assert_eq!(house.show(&id)["status"], "running", "nobody touched it");
    house.worker.release_all();
    house.reach(&id, "completed");
}

#[test]
fn check_8_pages_are_counted_from_zero_newest_first_with_the_total_of_all() {
    let house = House::start();
    house.worker.teach("slow", Answer::held("late"));
    let slow = house.execute(&request(&[("slow", &[])]));
    let mut all = vec![slow.clone()];
    for _ in 0..4 {
        all.push(house.execute(&request(&[("quick", &[])])));
    }
    house.execute_for("t2", &request(&[("quick", &[])]));
    for id in &all[1..] {
        house.reach(id, "completed");
    }
    all.reverse();
    let page = house.list("t1", "?page=0&page_size=1");
    assert_eq!(ids(&page), all[..1]);
    assert_eq!(
        (whole(&page, "page"), whole(&page, "page_size"), whole(&page, "total")),
        (0, 1, 5)
    );
    let pages: Vec<String> = (0..3)
        .flat_map(|page| ids(&house.list("t1", &format!("?page={page}&page_size=2"))))
        .collect();
    assert_eq!(pages, all, "each is on one page");
    assert_eq!(
        house.list("t1", "?page=99"),
        json!({ "workflows": [], "total": 5, "page": 99, "page_size": 20 })
    );
    for query in ["", "?page_size=1000", "?page_size=0", "?page=-3&page_size=many"] {
        let page = house.list("t1", query);
        assert_eq!(
            (ids(&page), whole(&page, "page"), whole(&page, "page_size")),
            (all.clone(), 0, 20),
            "{query}"
        );
    }
    let completed = house.list("t1", "?status=completed&page_size=3");
    assert_eq!((ids(&completed), whole(&completed, "total")), (all[..3].to_vec(), 4));
    assert_eq!(ids(&house.list("t1", "?status=running")), [slow]);
    assert_eq!(house.list("t1", "?status=bogus")["total"], 0);
    assert_eq!(ids(&house.list("t1", "?status=bogus")), Vec::<String>::new());
}

#[test]
fn a_summary_says_what_the_workflow_itself_says() {
    let house = House::start();
    let id = house.execute(&request(&[("a", &[]), ("b", &["a"])]));
    let execution = house.reach(&id, "completed");
    let summary = house.list("t1", "")["workflows"][0].clone();
    let fields = [
        "id",
        "intent_id",
        "status",
        "progress",
        "created_at",
        "completed_at",
        "duration",
    ];
    assert_eq!(
        summary.as_object().expect("an object").keys().collect::<Vec<_>>(),
        fields
    );
    for field in fields {
        assert_eq!(summary[field], execution[field], "{field}");
    }
}
