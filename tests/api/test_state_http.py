# SPDX-License-Identifier: Apache-2.0
"""State over HTTP: every route and method, each on both embedded stores."""
import datetime
import json
import time
import uuid

import pytest
from dapr.proto import api_v1

from sidecar import quote


def etag(s, key):
    return s.read(key).header("ETag")


# -- save and get

@pytest.mark.parametrize("value", ["text", 12, 1.5, True, None, [], {}, {"a": [1, {"b": None}]}, "", "ünï ☃ 𝄞", "\" \\ / \n \t \u0001"])
def test_a_value_comes_back_as_json(store, key, value):
    r = store.save(key, value)
    assert (r.status, r.body) == (204, b"")
    r = store.read(key)
    assert r.status == 200
    assert r.header("Content-Type") == "application/json"
    assert r.json == value


@pytest.mark.parametrize("body", ['{ "b" : 1,  "a" : [ 1 , 2 ] }', "12345678901234567890123", "-0.0", "1.50", "1E5"])
def test_any_form_of_json_keeps_its_value(store, key, body):
    assert store.post("/v1.0/state/store", '[{"key": "%s", "value": %s}]' % (key, body)).status == 204
    # Dapr keeps numbers as 64-bit floats.
    assert json.loads(store.read(key).body, parse_int=float) == json.loads(body, parse_int=float)


def test_put_saves_as_post_does(store, key):
    assert store.put("/v1.0/state/store", [{"key": key, "value": "v"}]).status == 204
    assert store.read(key).json == "v"


def test_a_saved_key_without_value_is_null(store, key):
    assert store.post("/v1.0/state/store", [{"key": key}]).status == 204
    r = store.read(key)
    assert (r.status, r.body) == (200, b"null")


def test_a_missing_key_is_204(store, key):
    r = store.read(key)
    assert (r.status, r.body) == (204, b"")
    assert r.header("ETag") is None


@pytest.mark.parametrize("body", ["[]", "null"])
def test_nothing_to_save_is_204(store, body):
    assert store.post("/v1.0/state/store", body).status == 204


def test_many_keys_in_one_save(store, key):
    items = [{"key": "%s-%d" % (key, i), "value": i} for i in range(200)]
    assert store.post("/v1.0/state/store", items).status == 204
    for i in (0, 1, 99, 199):
        assert store.read("%s-%d" % (key, i)).json == i


def test_the_same_key_twice_in_one_save(store, key):
    assert store.post("/v1.0/state/store", [{"key": key, "value": 1}, {"key": key, "value": 2}]).status == 204
    assert store.read(key).json in (1, 2)


def test_an_unknown_field_is_passed_over(store, key):
    assert store.post("/v1.0/state/store", [{"key": key, "value": 1, "vaelu": 2, "options": None}]).status == 204
    assert store.read(key).json == 1


def test_a_value_of_a_megabyte(store, key):
    value = "x" * (1 << 20)
    assert store.save(key, value).status == 204
    assert store.read(key).json == value


def test_html_signs_survive(store, key):
    assert store.save(key, "<&>\u2028").status == 204
    assert store.read(key).json == "<&>\u2028"


@pytest.mark.parametrize("body,stored", [
    (rb'"\u00fc\ud83d\ude00\/"', "\"ü😀/\""), (rb'"\ud800"', '"\ufffd"'), (b'"a\xffb"', '"a\ufffdb"'), (b'"a\xc3"', '"a\ufffd"'),
    (rb'{"\u00fc" : [ "\"\\" ]}', '{"ü":["\\"\\\\"]}'),
])
def test_text_is_stored_as_dapr_writes_it(store, key, body, stored):
    assert store.post("/v1.0/state/store", b'[{"key": "%s", "value": %s}]' % (key.encode(), body)).status == 204
    found = store.rpc.GetState(api_v1.GetStateRequest(store_name="store", key=key)).data.decode()
    assert found.replace(" ", "") == stored  # PostgreSQL has its own white space


def test_a_key_that_is_no_utf8_is_mended(store, key):
    assert store.post("/v1.0/state/store", b'[{"key": "%s\xff", "value": 1}]' % key.encode()).status == 204
    assert store.read(key + "\ufffd").json == 1


# -- keys in paths

@pytest.mark.parametrize("path,name", [
    ("a%2Fb", "a/b"), ("a+b", "a b"), ("a%20b", "a b"), ("a%2Bb", "a+b"), ("%C3%BC", "ü"), ("a%3Fb", "a?b"), ("a%23b", "a#b"),
    ("a;b", "a;b"), ("a=b&c", "a=b&c"), ("a:b@c", "a:b@c"), ("%25", "%"), ("a%7Cb", "a|b"), ("..a", "..a"), ("a%0Ab", "a\nb"),
])
def test_a_key_in_the_path_is_decoded_once(store, path, name):
    own = uuid.uuid4().hex
    assert store.save(own + name, "v-" + name).status == 204
    r = store.get("/v1.0/state/store/" + own + path)
    assert r.status == 200
    assert r.json == "v-" + name


def test_a_slash_in_the_path_is_another_route(store):
    r = store.get("/v1.0/state/store/a/b")
    assert r.status == 404
    assert r.code == "ERR_DIRECT_INVOKE"


def test_a_broken_escape_is_400(store):
    assert store.get("/v1.0/state/store/a%zz").status == 400


@pytest.mark.parametrize("path", ["//v1.0//state/store//{}", "/v1.0/./state/store/{}", "/v1.0/x/../state/store/{}",
                                  "/v1.0/state/store/{}/"])
def test_a_path_is_cleaned(store, key, path):
    assert store.save(key, 1).status == 204
    r = store.get(path.format(key))
    assert r.status == 200 and r.json == 1


# -- ETag and concurrency

def test_an_etag_changes_with_each_write(store, key):
    seen = set()
    for i in range(3):
        assert store.save(key, i).status == 204
        seen.add(etag(store, key))
    assert len(seen) == 3 and None not in seen


def test_a_write_with_the_etag(store, key):
    store.save(key, 1)
    assert store.save(key, 2, etag=etag(store, key)).status == 204
    assert store.read(key).json == 2


@pytest.mark.parametrize("concurrency", ["first-write", "last-write", None])
def test_a_stale_etag_is_refused(store, key, concurrency):
    store.save(key, 1)
    stale = etag(store, key)
    store.save(key, 2)
    more = {"options": {"concurrency": concurrency}} if concurrency else {}
    r = store.save(key, 3, etag=stale, **more)
    assert (r.status, r.code) == (409, "ERR_STATE_SAVE")
    assert "failed saving state in state store store" in r.message
    assert store.read(key).json == 2


def test_an_etag_for_a_missing_key_is_refused(store, key):
    store.save(key, 1)
    old = etag(store, key)
    store.delete("/v1.0/state/store/" + key)
    r = store.save(key, 2, etag=old)
    assert (r.status, r.code) == (409, "ERR_STATE_SAVE")
    assert store.read(key).status == 204


def test_first_write_without_etag_only_creates(store, key):
    first = {"concurrency": "first-write"}
    assert store.save(key, 1, options=first).status == 204
    r = store.save(key, 2, options=first)
    assert (r.status, r.code) == (409, "ERR_STATE_SAVE")
    assert store.read(key).json == 1


@pytest.mark.parametrize("consistency", ["strong", "eventual"])
def test_consistency_is_taken(store, key, consistency):
    assert store.save(key, 1, options={"consistency": consistency}).status == 204
    r = store.get("/v1.0/state/store/%s?consistency=%s" % (key, consistency))
    assert r.json == 1
    assert store.delete("/v1.0/state/store/%s?consistency=%s&concurrency=last-write" % (key, consistency)).status == 204


def test_a_reading_takes_any_consistency(store, key):
    store.save(key, 1)
    assert store.get("/v1.0/state/store/%s?consistency=none" % key).json == 1


def test_consistency_is_looked_at_before_concurrency(store, key):
    r = store.save(key, 1, options={"consistency": "x", "concurrency": "y"})
    assert (r.status, r.code) == (500, "ERR_STATE_SAVE")
    assert "unrecognized consistency model 'x'" in r.message


def test_delete(store, key):
    store.save(key, 1)
    r = store.delete("/v1.0/state/store/" + key)
    assert (r.status, r.body) == (204, b"")
    assert store.read(key).status == 204


def test_deleting_what_is_not_there_is_204(store, key):
    assert store.delete("/v1.0/state/store/" + key).status == 204


def test_delete_with_if_match(store, key):
    store.save(key, 1)
    stale = etag(store, key)
    store.save(key, 2)
    r = store.delete("/v1.0/state/store/" + key, headers={"If-Match": stale})
    assert (r.status, r.code) == (409, "ERR_STATE_DELETE")
    assert "failed deleting state with key " + key in r.message
    assert store.read(key).json == 2
    assert store.delete("/v1.0/state/store/" + key, headers={"If-Match": etag(store, key)}).status == 204
    assert store.read(key).status == 204


def test_one_stale_item_among_several_fails_the_save(store, key):
    store.save(key, 1)
    r = store.post("/v1.0/state/store", [{"key": key + "b", "value": 1}, {"key": key, "value": 2, "etag": "987654321"}])
    assert (r.status, r.code) == (409, "ERR_STATE_SAVE")
    assert store.read(key).json == 1


# -- time to live

def test_ttl(common, key):
    r = common.save(key, "soon gone", metadata={"ttlInSeconds": "2"})
    assert r.status == 204
    r = common.read(key)
    assert r.status == 200
    expires = datetime.datetime.strptime(r.header("metadata.ttlExpireTime"), "%Y-%m-%dT%H:%M:%SZ")
    ahead = (expires - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)).total_seconds()
    assert 0 <= ahead + 1 <= 4
    end = time.monotonic() + 5
    while common.read(key).status == 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert common.read(key).status == 204


def test_a_write_without_ttl_ends_the_ttl(common, key):
    common.save(key, 1, metadata={"ttlInSeconds": "100"})
    assert common.read(key).header("metadata.ttlExpireTime")
    common.save(key, 2)
    assert common.read(key).header("metadata.ttlExpireTime") is None


def test_metadata_in_the_query_wins(common, key):
    r = common.post("/v1.0/state/store?metadata.ttlInSeconds=100", [{"key": key, "value": 1, "metadata": {"ttlInSeconds": "1"}}])
    assert r.status == 204
    expires = datetime.datetime.strptime(common.read(key).header("metadata.ttlExpireTime"), "%Y-%m-%dT%H:%M:%SZ")
    assert (expires - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)).total_seconds() > 50


def test_a_ttl_that_is_no_number(store, key):
    r = store.save(key, 1, metadata={"ttlInSeconds": "soon"})
    assert (r.status, r.code) == (500, "ERR_STATE_SAVE")
    assert store.read(key).status == 204


def test_ttl_minus_one_is_for_ever(store, key):
    assert store.save(key, 1, metadata={"ttlInSeconds": "-1"}).status == 204
    r = store.read(key)
    assert r.status == 200 and r.header("metadata.ttlExpireTime") is None


# -- bulk get

@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("parallelism", [None, 1, 10, -1])
def test_bulk_get(store, key, method, parallelism):
    store.post("/v1.0/state/store", [{"key": "%s-%d" % (key, i), "value": {"n": i}} for i in range(20)])
    body = {"keys": ["%s-%d" % (key, i) for i in range(21)]}
    if parallelism is not None:
        body["parallelism"] = parallelism
    r = store.request(method, "/v1.0/state/store/bulk", body)
    assert r.status == 200 and r.header("Content-Type") == "application/json"
    found = {item["key"]: item for item in r.json}
    assert len(r.json) == len(found) == 21
    for i in range(20):
        item = found["%s-%d" % (key, i)]
        assert item["data"] == {"n": i} and item["etag"]
    assert found["%s-20" % key] == {"key": "%s-20" % key}


def test_bulk_get_of_nothing(store):
    r = store.post("/v1.0/state/store/bulk", {"keys": []})
    assert (r.status, r.json) == (200, [])


def test_bulk_get_shows_the_ttl(common, key):
    common.save(key, 1, metadata={"ttlInSeconds": "100"})
    item, = common.post("/v1.0/state/store/bulk", {"keys": [key]}).json
    assert item["metadata"]["ttlExpireTime"].endswith("Z")


@pytest.mark.ours  # Dapr's state.sqlite answers the second one without its value
def test_the_same_key_twice_in_bulk(store, key):
    store.save(key, 1)
    r = store.post("/v1.0/state/store/bulk", {"keys": [key, key]})
    assert r.status == 200 and [i["data"] for i in r.json] == [1, 1]


# -- transactions

def transaction(s, *operations, **more):
    body = dict({"operations": [{"operation": o, "request": r} for o, r in operations]}, **more)
    return s.post("/v1.0/state/store/transaction", body)


def test_a_transaction(store, key):
    store.save(key + "old", 1)
    r = transaction(store, ("upsert", {"key": key + "new", "value": {"a": 1}}), ("delete", {"key": key + "old"}),
                    metadata={"partitionKey": "p"})
    assert (r.status, r.body) == (204, b"")
    assert store.read(key + "new").json == {"a": 1}
    assert store.read(key + "old").status == 204


def test_a_transaction_of_nothing(store):
    assert transaction(store).status == 204


def test_a_stale_etag_undoes_the_whole_transaction(store, key):
    store.save(key, 1)
    stale = etag(store, key)
    store.save(key, 2)
    r = transaction(store, ("upsert", {"key": key + "b", "value": 1}), ("upsert", {"key": key, "value": 3, "etag": stale}))
    assert (r.status, r.code) == (500, "ERR_STATE_TRANSACTION")
    assert store.read(key).json == 2
    assert store.read(key + "b").status == 204
    r = transaction(store, ("upsert", {"key": key + "b", "value": 1}), ("delete", {"key": key, "etag": stale}))
    assert (r.status, r.code) == (500, "ERR_STATE_TRANSACTION")
    assert store.read(key).json == 2
    assert store.read(key + "b").status == 204


def test_a_transaction_with_the_right_etag(store, key):
    store.save(key, 1)
    r = transaction(store, ("upsert", {"key": key, "value": 2, "etag": etag(store, key),
                                       "options": {"concurrency": "first-write", "consistency": "strong"}}))
    assert r.status == 204
    assert store.read(key).json == 2


def test_a_transaction_with_a_ttl(common, key):
    r = transaction(common, ("upsert", {"key": key, "value": 1, "metadata": {"ttlInSeconds": "100"}}))
    assert r.status == 204
    assert common.read(key).header("metadata.ttlExpireTime")


@pytest.mark.parametrize("request_", [[], "x", 1, {"key": 1}])
def test_an_unknown_operation_is_told_before_its_request(store, request_):
    steps = [{"operation": "swap", "request": request_}]
    r = store.post("/v1.0/state/store/transaction", {"operations": steps})
    assert (r.status, r.code) == (400, "ERR_NOT_SUPPORTED_STATE_OPERATION")
    steps[0]["operation"] = "upsert"
    r = store.post("/v1.0/state/store/transaction", {"operations": steps})
    assert (r.status, r.code) == (400, "ERR_MALFORMED_REQUEST")


def test_a_transaction_does_not_name_the_field_of_a_bad_key(store):
    r = store.post("/v1.0/state/store/transaction", {"operations": [{"operation": "delete", "request": {"key": "a||b"}}]})
    assert (r.status, r.code) == (400, "ERR_MALFORMED_REQUEST")
    assert list(r.detail("BadRequest")["field_violations"][0]) == ["description"]


def test_put_is_a_transaction_too(store, key):
    r = store.put("/v1.0/state/store/transaction", {"operations": [{"operation": "upsert", "request": {"key": key, "value": 1}}]})
    assert r.status == 204 and store.read(key).json == 1


def test_one_transaction_deletes_what_it_wrote(store, key):
    r = transaction(store, ("upsert", {"key": key, "value": 1}), ("delete", {"key": key}))
    assert r.status == 204
    assert store.read(key).status == 204


# -- what stores cannot do

def test_query_is_not_supported(common):
    r = common.post("/v1.0-alpha1/state/store/query", {"filter": {"EQ": {"a": "b"}}})
    assert (r.status, r.code) == (500, "ERR_STATE_STORE_NOT_SUPPORTED")
    assert r.message == "state store does not support querying"
    assert r.detail("ErrorInfo")["reason"] == "DAPR_STATE_QUERYING_NOT_SUPPORTED"
    assert r.detail("ResourceInfo")["resource_name"] == "store"


@pytest.mark.parametrize("method,path", [
    ("GET", "/v1.0/state/nope/k"), ("POST", "/v1.0/state/nope"), ("PUT", "/v1.0/state/nope"), ("DELETE", "/v1.0/state/nope/k"),
    ("POST", "/v1.0/state/nope/bulk"), ("PUT", "/v1.0/state/nope/bulk"), ("POST", "/v1.0/state/nope/transaction"),
    ("PUT", "/v1.0/state/nope/transaction"), ("POST", "/v1.0-alpha1/state/nope/query"),
])
def test_an_unknown_store(store, method, path):
    r = store.request(method, path, "" if method in ("POST", "PUT") else None)
    assert (r.status, r.code) == (400, "ERR_STATE_STORE_NOT_FOUND")
    assert r.message == "state store nope is not found"
    info = r.detail("ErrorInfo")
    assert (info["domain"], info["reason"]) == ("dapr.io", "DAPR_STATE_NOT_FOUND")
    assert info["metadata"] == (None if "query" in path else {"appID": "testapp"})


@pytest.mark.parametrize("method,path", [("PATCH", "/v1.0/state/store"), ("GET", "/v1.0/state/store"), ("DELETE", "/v1.0/state/store"),
                                         ("PATCH", "/v1.0/state/store/k"), ("GET", "/v1.0/state"), ("POST", "/v1.0-alpha1/state/store"),
                                         ("OPTIONS", "/v1.0/state/store"), ("DELETE", "/v1.0/state/store/k/j")])
def test_another_method_or_route_is_the_fallback(store, method, path):
    r = store.request(method, path)
    assert (r.status, r.code) == (404, "ERR_DIRECT_INVOKE")


def test_an_answer_carries_the_trace_it_belongs_to(store, key):
    trace = uuid.uuid4().hex
    r = store.get("/v1.0/state/store/" + key, headers={"traceparent": "00-%s-00f067aa0ba902b7-01" % trace})
    assert r.header("Traceparent").split("-")[1] == trace


def test_an_answer_has_length_and_date(store, key):
    store.save(key, 1)
    r = store.read(key)
    assert r.header("Content-Length") == "1"
    assert r.header("Date")


@pytest.mark.parametrize("k", ["a||b", "||", "||a", "a||"])
def test_a_key_with_the_separator_is_refused(store, k):
    r = store.save(k, 1)
    assert (r.status, r.code) == (400, "ERR_MALFORMED_REQUEST")
    assert "input key/keyPrefix '%s' can't contain '||'" % k in r.message
    assert r.detail("ErrorInfo")["reason"] == "DAPR_STATE_ILLEGAL_KEY"
    assert r.detail("BadRequest")["field_violations"][0]["field"] == k
    r = store.get("/v1.0/state/store/" + quote(k))
    assert (r.status, r.code) == (400, "ERR_MALFORMED_REQUEST")
    r = store.delete("/v1.0/state/store/" + quote(k))
    assert (r.status, r.code) == (400, "ERR_MALFORMED_REQUEST")
