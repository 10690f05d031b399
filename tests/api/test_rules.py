# SPDX-License-Identifier: Apache-2.0
"""Who may call: tokens, lists of allowed and denied APIs, CORS; and what is counted meanwhile."""
import grpc
import pytest
from dapr.proto import api_v1

from sidecar import component, configuration, details, refused

MEMORY = component("store", "state.in-memory")
Code = grpc.StatusCode
GET = api_v1.GetStateRequest(store_name="store", key="k")


# -- tokens

@pytest.mark.parametrize("path", ["/v1.0/state/store/k", "/v1.0/metadata", "/v1.0/secrets/x/y", "/nowhere"])
def test_without_the_token_nothing_is_told(start, path):
    s = start(MEMORY, env={"DAPR_API_TOKEN": "s3cret"})
    for headers in ({}, {"dapr-api-token": "wrong"}, {"dapr-api-token": ""}, {"dapr-api-token": "s3cre"}, {"dapr-api-token": "s3cret1"}):
        r = s.get(path, headers=headers)
        assert (r.status, r.body) == (401, b"invalid api token\n")
        assert r.header("Content-Type").startswith("text/plain")
    assert s.get(path, headers={"dapr-api-token": "s3cret"}).status != 401
    assert s.get(path, headers={"Dapr-Api-Token": "s3cret"}).status != 401


def test_health_needs_no_token(start):
    s = start(env={"DAPR_API_TOKEN": "t"})
    assert s.get("/v1.0/healthz").status == 204
    assert s.get("/v1.0/healthz/outbound").status == 204
    assert s.post("/v1.0/healthz").status == 401


@pytest.mark.parametrize("path", ["/v1.0/healthz/../metadata", "//v1.0/healthz/../state/store/k", "/v1.0/metadata/../healthz/../metadata",
                                  "/v1.0/healthz%2F..%2Fmetadata", "/v1.0/healthz/outbound/../../metadata"])
def test_no_path_leads_around_the_token(start, path):
    s = start(MEMORY, env={"DAPR_API_TOKEN": "t"})
    assert s.get(path).status == 401


def test_the_token_over_grpc(start):
    s = start(MEMORY, env={"DAPR_API_TOKEN": "t"})
    for metadata, message in (([], "missing api token in request metadata"),
                              ([("dapr-api-token", "wrong")], "authentication error: api token mismatch")):
        e = refused(s.rpc.GetState, GET, metadata=metadata)
        assert (e.code(), e.details()) == (Code.UNAUTHENTICATED, "Unauthorized")
        assert details(e)["ErrorInfo"].metadata == {"http.code": "401", "http.error_message": message}
    assert s.rpc.GetState(GET, metadata=[("dapr-api-token", "t")]).data == b""


# -- allowed and denied APIs

def rules(**api):
    return configuration({"api": api})


HTTP_STATE = {"name": "state", "version": "v1.0", "protocol": "http"}


def allowed(s, path="/v1.0/state/store/k"):
    r = s.get(path)
    if r.status == 404:
        # An allow-list without `invoke` takes the fallback away as well.
        assert r.body == b"404 page not found\n" or r.code == "ERR_DIRECT_INVOKE"
        return False
    assert r.status in (200, 204), r
    return True


@pytest.mark.parametrize("api,state,metadata", [
    ({"allowed": [HTTP_STATE]}, True, False),
    ({"denied": [HTTP_STATE]}, False, True),
    ({"allowed": [HTTP_STATE, {"name": "metadata", "version": "v1.0", "protocol": "http"}], "denied": [HTTP_STATE]}, False, True),
    ({"allowed": [{"name": "state", "version": "v1", "protocol": "http"}]}, True, False),
    ({"allowed": [{"name": "state", "version": "v1.0"}]}, True, True),  # of no protocol
    ({"denied": [{"name": "state", "version": "v1", "protocol": "http"}]}, False, True),
    ({"denied": [{"name": "state", "version": "v1.0-alpha1", "protocol": "http"}]}, True, True),
    ({"allowed": [{"name": "state", "version": "v1.0", "protocol": "grpc"}]}, True, True),
    ({}, True, True),
])
def test_lists_over_http(start, api, state, metadata):
    s = start(MEMORY, config=[rules(**api)])
    assert (allowed(s), allowed(s, "/v1.0/metadata")) == (state, metadata)
    assert s.get("/v1.0/healthz").status == 204


def test_the_fallback_is_an_api_too(start):
    s = start(MEMORY, config=[rules(allowed=[HTTP_STATE])])
    r = s.get("/v1.0/metadata")
    assert (r.status, r.body) == (404, b"404 page not found\n")
    s = start(MEMORY, config=[rules(allowed=[HTTP_STATE, {"name": "invoke", "version": "v1.0", "protocol": "http"}])])
    r = s.get("/v1.0/metadata")
    assert (r.status, r.code) == (404, "ERR_DIRECT_INVOKE")


@pytest.mark.parametrize("api,state,metadata", [
    ({"allowed": [{"name": "state", "version": "v1", "protocol": "grpc"}]}, True, False),
    ({"denied": [{"name": "state", "version": "v1", "protocol": "grpc"}]}, False, True),
    ({"denied": [{"name": "state", "version": "v1", "protocol": "http"}]}, True, True),
])
def test_lists_over_grpc(start, api, state, metadata):
    s = start(MEMORY, config=[rules(**api)])
    for may, call, request in ((state, s.rpc.GetState, GET), (metadata, s.rpc.GetMetadata, api_v1.GetMetadataRequest())):
        if may:
            call(request)
        else:
            e = refused(call, request)
            assert (e.code(), e.details()) == (Code.UNIMPLEMENTED, "Not Implemented")
            assert details(e)["ErrorInfo"].metadata == {"http.code": "501", "http.error_message": "requested endpoint is not available"}


@pytest.mark.parametrize("path", ["/v1.0/metadata/../state/store/k", "/v1.0//state/store/k", "/v1.0/x/../state//store/k"])
def test_no_path_leads_around_a_list(start, path):
    s = start(MEMORY, config=[rules(denied=[HTTP_STATE])])
    assert s.get(path).status == 404


# -- CORS

PREFLIGHT = {"Access-Control-Request-Method": "GET", "Origin": "https://example.com"}


def test_cors_is_off(start):
    s = start()
    r = s.request("OPTIONS", "/v1.0/metadata", headers=PREFLIGHT)
    assert r.status == 404 and r.header("Access-Control-Allow-Origin") is None
    r = s.get("/v1.0/metadata", headers={"Origin": "https://example.com"})
    assert r.status == 200 and r.header("Access-Control-Allow-Origin") is None and r.header("Vary") is None


@pytest.mark.parametrize("allowed_,origin,answer", [
    ("*", "https://example.com", "*"), ("*", "*", "*"), ("https://example.com", "https://example.com", "https://example.com"),
    ("https://example.com", "https://foobaz.com", None), ("https://a.com,https://b.com", "https://b.com", "https://b.com"),
    ("https://*.example.com", "https://x.example.com", "https://x.example.com"), ("https://*.example.com", "https://example.org", None),
    ("https://example.com", "http://example.com", None), ("https://example.com", "https://example.com.evil.org", None),
])
def test_cors(start, allowed_, origin, answer):
    s = start(flags={"allowed-origins": allowed_}, env={"DAPR_API_TOKEN": "t"})
    r = s.request("OPTIONS", "/v1.0/metadata", headers=dict(PREFLIGHT, Origin=origin))
    assert r.status == 200
    assert r.header("Access-Control-Allow-Origin") == answer
    assert r.header("Vary")
    r = s.get("/v1.0/metadata", headers={"Origin": origin, "dapr-api-token": "t"})
    assert r.status == 200
    assert r.header("Access-Control-Allow-Origin") == answer
    assert r.header("Vary") == "Origin"
    assert s.get("/v1.0/metadata", headers={"Origin": origin}).status == 401


@pytest.mark.parametrize("method,ok", [("GET", True), ("POST", True), ("PUT", True), ("PATCH", True), ("DELETE", True), ("HEAD", True),
                                       ("TRACE", False)])
def test_cors_methods(start, method, ok):
    s = start(flags={"allowed-origins": "*"})
    r = s.request("OPTIONS", "/v1.0/metadata", headers=dict(PREFLIGHT, **{"Access-Control-Request-Method": method}))
    assert (r.status, r.header("Access-Control-Allow-Methods")) == (200, method if ok else None)


def test_cors_answers_in_gos_spelling(start):
    s = start(flags={"allowed-origins": "*"})
    asked = {"Access-Control-Request-Method": "post", "Access-Control-Request-Headers": "x-TEST,content-type  x_y"}
    r = s.request("OPTIONS", "/v1.0/metadata", headers=dict(PREFLIGHT, **asked))
    assert r.header("Access-Control-Allow-Methods") == "POST"
    assert r.header("Access-Control-Allow-Headers") == "X-Test, Content-Type, X_y"


# -- metrics

def test_metrics_of_state(start):
    s = start(MEMORY)
    for i in range(3):
        s.save("k", i)
    s.read("k")
    s.rpc.GetState(GET)
    assert s.counted("dapr_component_state_count", operation="set", success="true") == 3
    assert s.counted("dapr_component_state_count", operation="get", component="store", app_id="testapp") == 2
    assert s.counted("dapr_component_state_latencies_count", operation="set") == 3
    assert s.counted("dapr_http_server_request_count") >= 4
    assert s.counted("dapr_grpc_io_server_completed_rpcs", grpc_server_status="OK") >= 1
    assert s.counted("dapr_runtime_component_init_total") == 1


def test_process_metrics(start):
    s = start(MEMORY)
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds", "go_goroutines"):
        assert s.counted(name) > 0, name


def test_error_codes_are_counted_when_asked(start):
    s = start(MEMORY, config=[configuration({"metric": {"enabled": True, "recordErrorCodes": True}, "metrics": {"enabled": True, "recordErrorCodes": True}})])
    s.get("/v1.0/state/nope/k")
    s.post("/v1.0/state/store", "{")
    s.post("/v1.0/state/store", "[")
    found = {k: v for k, v in s.series("dapr_error_code_total").items() if ("category", "health") not in k}  # asked too soon
    assert found == {
        (("app_id", "testapp"), ("category", "state"), ("error_code", "ERR_STATE_STORE_NOT_FOUND")): 1.0,
        (("app_id", "testapp"), ("category", "common"), ("error_code", "ERR_MALFORMED_REQUEST")): 2.0}


def test_the_text_of_metrics(start):
    s = start(MEMORY)
    s.save("k", 1)
    r = s.get("/metrics", port=s.metrics)
    assert r.header("Content-Type").startswith("text/plain; version=0.0.4")
    kinds, current = {}, None
    for line in r.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert current not in kinds
            kinds[current] = kind
        elif not line.startswith("#"):
            name = line.split("{")[0].split(" ")[0]
            base = name
            for end in ("_bucket", "_sum", "_count"):
                if name.endswith(end) and kinds.get(name[:-len(end)]) in ("histogram", "summary"):
                    base = name[:-len(end)]
            assert base == current, line
    assert kinds["dapr_component_state_count"] == "counter"


def test_metrics_can_be_off(start):
    s = start(flags={"enable-metrics": "false"})
    with pytest.raises(OSError):
        s.get("/metrics", port=s.metrics)


@pytest.mark.ours  # Dapr has no bound
@pytest.mark.plain
def test_no_client_grows_the_series_without_bound(start):
    s = start(MEMORY)
    c = s.connect()
    for i in range(12000):
        s.get("/a%d/b%d" % (i, i), connection=c)
        if i % 500 == 499:
            c.close()
    # A series is a label set; of a histogram one line each is counted here.
    lines = s.get("/metrics", port=s.metrics).body.decode().splitlines()
    series = [line for line in lines if not line.startswith("#") and "_bucket{" not in line and "_sum{" not in line]
    assert len(series) <= 10000
    assert s.counted("davit_metric_series_dropped") > 0
    assert s.save("k", 1).status == 204
