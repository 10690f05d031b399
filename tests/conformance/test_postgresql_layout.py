# SPDX-License-Identifier: Apache-2.0
"""state.postgresql beside Dapr's: tables, what lies in them, rows by hand, tables of earlier levels; and the ways to TLS.
Dapr's tables are those of its migrations, state/postgresql/v1/migrations.go and v2/postgresql.go of dapr/components-contrib."""
import base64
import json
import os
import subprocess
import sys
import threading
import uuid

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from certificates import Certificates  # noqa: E402
from postgresql_server import Postgres  # noqa: E402
from sidecar import Sidecar, component  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
TYPE = "state.postgresql"
VERSIONS = ["v1", "v2"]
NOW = "timestamp with time zone"
COLUMNS = {
    "v1": ["key|text|NO||NO", "value|jsonb|NO||NO", "isbinary|boolean|NO||NO", "insertdate|%s|NO|now()|NO" % NOW,
           "updatedate|%s|YES||NO" % NOW, "expiredate|%s|YES||NO" % NOW, "row_id|bigint|NO||YES"],
    "v2": ["key|text|NO||NO", "value|bytea|NO||NO", "etag|uuid|NO|gen_random_uuid()|NO", "created_at|%s|NO|now()|NO" % NOW,
           "updated_at|%s|YES||NO" % NOW, "expires_at|%s|YES||NO" % NOW, "row_id|bigint|NO||YES"],
}
LEVEL = {"v1": ("migrations", "3"), "v2": ("migrations-state-v2-", "2")}
INDEXES = {"v1": ["state_pkey|t|key", "state_row_id_uidx|t|row_id"],
           "v2": ["state_expires_at_idx|f|expires_at", "state_pkey|t|key", "state_row_id_uidx|t|row_id"]}
# As the migrations of earlier Dapr versions left them.
V1_FIRST = "CREATE TABLE %s (key text NOT NULL PRIMARY KEY, value jsonb NOT NULL, isbinary boolean NOT NULL, " \
           "insertdate timestamptz NOT NULL DEFAULT now(), updatedate timestamptz NULL)"
V2_FIRST = "CREATE TABLE %s (key text NOT NULL PRIMARY KEY, value bytea NOT NULL, etag uuid NOT NULL DEFAULT gen_random_uuid(), " \
           "created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz, expires_at timestamptz); " \
           "CREATE INDEX ON %s (expires_at)"
METADATA = "CREATE TABLE dapr_metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL)"


@pytest.fixture(scope="module")
def server():
    s = Postgres()
    yield s
    s.stop()


class Database:
    def __init__(self, server):
        self.server, self.name = server, "d" + uuid.uuid4().hex[:12]
        server.query("CREATE DATABASE " + self.name)
        self.url = server.url.replace("dbname=postgres", "dbname=" + self.name)

    def query(self, sql):
        return self.server.query(sql, database=self.name)

    def columns(self, table="state", schema="public"):
        return self.query("SELECT column_name, data_type, is_nullable, column_default, is_identity FROM information_schema.columns "
                          "WHERE table_name = '%s' AND table_schema = '%s' ORDER BY ordinal_position" % (table, schema)).split("\n")

    def indexes(self, table="state"):
        return self.query("SELECT c.relname, i.indisunique, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN "
                          "pg_attribute a ON a.attrelid = c.oid WHERE i.indrelid = '%s'::regclass ORDER BY 1" % table).split("\n")


@pytest.fixture
def database(server):
    return Database(server)


@pytest.fixture
def opened(database, tmp_path):
    """Sidecars on the database, each with one store."""
    running = []

    def begin(version, start=True, **more):
        given = dict({"connectionString": database.url}, **more)
        s = Sidecar(tmp_path / ("s%d" % len(running)), component("store", TYPE, given, version=version), expect=0 if start else None)
        running.append(s)
        return s.start() if start else s
    yield begin
    for s in running:
        s.stop()


# -- tables

@pytest.mark.parametrize("version", VERSIONS)
def test_the_tables_are_daprs(database, opened, version):
    opened(version)
    assert database.columns() == COLUMNS[version]
    assert database.indexes() == INDEXES[version]
    assert database.columns("dapr_metadata") == ["key|text|NO||NO", "value|text|NO||NO"]
    rows = dict(line.split("|") for line in database.query("SELECT key, value FROM dapr_metadata").split("\n"))
    assert rows["lock"] == "lock" and rows[LEVEL[version][0]] == LEVEL[version][1]


@pytest.mark.parametrize("version", VERSIONS)
def test_tables_of_other_names_in_another_schema(database, opened, version):
    database.query("CREATE SCHEMA Other")
    where = {"tableName": "other.things"} if version == "v1" else {"tablePrefix": "other.my_"}
    s = opened(version, metadataTableName="other.notes", **where)
    s.save("k", 1)
    table = "things" if version == "v1" else "my_state"
    assert database.columns(table, "other") == COLUMNS[version]
    assert database.query("SELECT key FROM other.%s" % table) == "testapp||k"
    level = database.query("SELECT value FROM other.notes WHERE key LIKE 'migrations%'")
    assert level == LEVEL[version][1]


@pytest.mark.parametrize("version", VERSIONS)
def test_sidecars_that_begin_at_once_make_them_once(database, opened, version):
    sidecars = [opened(version, start=False) for _ in range(4)]
    threads = [threading.Thread(target=s.start) for s in sidecars]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert database.columns() == COLUMNS[version] and database.indexes() == INDEXES[version]
    for i, s in enumerate(sidecars):
        assert s.save("k%d" % i, i).status == 204


# -- what we write

def test_a_row_of_v1_field_by_field(database, opened):
    s = opened("v1")
    s.save("j", {"a": [1, "<&>"]})
    s.post("/v1.0/state/store", [{"key": "b", "value": base64.b64encode(b"\0\xff").decode(), "metadata": {"contentType": "application/octet-stream"}}])
    s.save("t", 1, metadata={"ttlInSeconds": "100"})
    row = database.query("SELECT value, isbinary, insertdate <= now(), updatedate IS NULL, expiredate IS NULL, xmin FROM state "
                         "WHERE key = 'testapp||j'").split("|")
    assert json.loads(row[0]) == {"a": [1, "<&>"]} and row[1:5] == ["f", "t", "t", "t"]
    assert s.read("j").header("etag") == row[5]
    assert database.query("SELECT extract(epoch FROM expiredate - now()) BETWEEN 80 AND 100 FROM state WHERE key = 'testapp||t'") == "t"
    s.save("j", 2)
    assert database.query("SELECT value, updatedate >= insertdate, row_id IS NULL FROM state WHERE key = 'testapp||j'") == "2|t|f"
    assert s.save("j", 3, etag=row[5]).status == 409


def test_a_row_of_v2_field_by_field(database, opened):
    s = opened("v2")
    s.save("j", {"a": [1, "<&>"]})
    s.save("t", 1, metadata={"ttlInSeconds": "100"})
    row = database.query("SELECT convert_from(value, 'UTF8'), etag, created_at <= now(), updated_at IS NULL, expires_at IS NULL FROM state "
                         "WHERE key = 'testapp||j'").split("|")
    assert json.loads(row[0]) == {"a": [1, "<&>"]} and row[2:] == ["t", "t", "t"]
    assert s.read("j").header("etag") == row[1]
    assert database.query("SELECT extract(epoch FROM expires_at - now()) BETWEEN 80 AND 100 FROM state WHERE key = 'testapp||t'") == "t"
    s.save("j", 2)
    assert database.query("SELECT convert_from(value, 'UTF8'), updated_at >= created_at, etag = '%s' FROM state WHERE key = 'testapp||j'"
                          % row[1]) == "2|t|f"
    assert s.save("j", 3, etag=row[1]).status == 409


# -- rows by hand, as Dapr's sidecar writes them

def test_rows_of_v1_by_hand_are_read(database, opened):
    s = opened("v1")
    database.query("""INSERT INTO state (key, value, isbinary, expiredate) VALUES ('testapp||json', '{"a": 1}', false, NULL),
        ('testapp||bytes', '"%s"', true, NULL), ('testapp||gone', '1', false, now() - interval '1 second'),
        ('testapp||later', '2', false, '2999-01-02 03:04:05+00')""" % base64.b64encode(b"\0raw\xff").decode())
    r = s.read("json")
    assert r.json == {"a": 1} and r.header("etag") == database.query("SELECT xmin FROM state WHERE key = 'testapp||json'")
    assert s.read("bytes").body == b"\0raw\xff"
    assert s.read("gone").status == 204
    r = s.read("later")
    assert r.json == 2 and r.header("metadata.ttlexpiretime") == "2999-01-02T03:04:05Z"
    assert s.save("json", 5, etag=s.read("json").header("etag")).status == 204
    assert database.query("SELECT value FROM state WHERE key = 'testapp||json'") == "5"


def test_rows_of_v2_by_hand_are_read(database, opened):
    s = opened("v2")
    etag = str(uuid.uuid4())
    database.query("""INSERT INTO state (key, value, etag, expires_at) VALUES ('testapp||json', '{"a": 1}', '%s', NULL),
        ('testapp||bytes', '\\x0072ff', gen_random_uuid(), NULL), ('testapp||gone', '1', gen_random_uuid(), now() - interval '1 second'),
        ('testapp||later', '2', gen_random_uuid(), '2999-01-02 03:04:05+00')""" % etag)
    r = s.read("json")
    assert r.body == b'{"a": 1}' and r.header("etag") == etag
    assert s.read("bytes").body == b"\0r\xff"
    assert s.read("gone").status == 204
    r = s.read("later")
    assert r.json == 2 and r.header("metadata.ttlexpiretime") == "2999-01-02T03:04:05Z"
    assert s.request("DELETE", "/v1.0/state/store/json", headers={"If-Match": str(uuid.uuid4())}).status == 409
    assert s.request("DELETE", "/v1.0/state/store/json", headers={"If-Match": etag}).status == 204
    assert database.query("SELECT count(*) FROM state WHERE key = 'testapp||json'") == "0"


# -- tables of earlier levels

def older(database, version, level):
    """A database that a sidecar of that level has left, with three rows; the second is the oldest."""
    first, made, prefix = (V1_FIRST, "insertdate", "") if version == "v1" else (V2_FIRST.replace("%s (expires_at)", "state (expires_at)"), "created_at", "")
    database.query(METADATA)
    database.query("INSERT INTO dapr_metadata VALUES ('lock', 'lock')")
    database.query(first % "state")
    if level > 0:
        database.query("INSERT INTO dapr_metadata VALUES ('%s', '%d')" % (LEVEL[version][0], level))
    if version == "v1" and level >= 2:
        database.query("ALTER TABLE state ADD expiredate timestamptz")
    for key, days in (("b", 1), ("a", 3), ("c", 2)):
        more = (", isbinary", ", false") if version == "v1" else ("", "")
        database.query("INSERT INTO state (key, value%s, %s) VALUES ('testapp||%s', '\"%s\"'%s, now() - interval '%d days')"
                       % (more[0], made, key, key, more[1], days))


@pytest.mark.parametrize("version, level", [("v1", 0), ("v1", 1), ("v1", 2), ("v2", 1)])
def test_an_earlier_level_is_brought_to_this_one(database, opened, version, level):
    older(database, version, level)
    s = opened(version)
    assert database.columns() == COLUMNS[version] and database.indexes() == INDEXES[version]
    assert database.query("SELECT value FROM dapr_metadata WHERE key = '%s'" % LEVEL[version][0]) == LEVEL[version][1]
    assert database.query("SELECT string_agg(key || row_id, ' ' ORDER BY row_id) FROM state") == "testapp||a1 testapp||c2 testapp||b3"
    assert [s.read(k).json for k in "abc"] == ["a", "b", "c"]
    s.save("new", 1)
    assert database.query("SELECT row_id FROM state WHERE key = 'testapp||new'") == "4"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_at_this_level_is_left_alone(database, opened, version):
    opened(version).save("k", 1)
    before = database.query("SELECT xmin, * FROM dapr_metadata WHERE key LIKE 'migrations%'")
    s = opened(version)
    assert s.read("k").json == 1
    assert database.query("SELECT xmin, * FROM dapr_metadata WHERE key LIKE 'migrations%'") == before


@pytest.mark.parametrize("version", VERSIONS)
def test_a_level_of_tomorrow_is_left_alone_and_nonsense_is_refused(database, opened, version):
    opened(version).save("k", 1)
    database.query("UPDATE dapr_metadata SET value = '9' WHERE key = '%s'" % LEVEL[version][0])
    assert opened(version).read("k").json == 1
    database.query("UPDATE dapr_metadata SET value = 'many' WHERE key = '%s'" % LEVEL[version][0])
    code, log = opened(version, start=False).run()
    assert code == 1 and "invalid migration level found in metadata table: many" in log


def test_a_migration_that_cannot_be_done_undoes_itself(database, opened):
    older(database, "v1", 1)
    database.query("ALTER TABLE state ADD COLUMN row_id text")  # of somebody else
    code, log = opened("v1", start=False).run()
    assert code == 1 and "failed to perform migration" in log, log[-2000:]
    assert database.query("SELECT value FROM dapr_metadata WHERE key = 'migrations'") == "1"
    assert "expiredate" not in " ".join(database.columns())


# -- TLS

HBA = "local all all scram-sha-256\nhostnossl all all all reject\nhostssl all cert_user all cert\nhostssl all all all scram-sha-256\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    c = Certificates(folder / "ours")
    c.cert_user = c.make("cert_user", "subjectAltName=DNS:client")
    c.stranger = Certificates(folder / "strangers")
    s = Postgres(tls=c, hba=HBA)
    s.query("CREATE ROLE cert_user LOGIN; GRANT ALL ON SCHEMA public TO cert_user")
    yield s, c
    s.stop()


def speaks(url, want=None, **more):
    """Opened, a few operations, closed; or refused with these words."""
    folder = os.path.join(BUILD, "lib", "davit", "plugins", TYPE)
    argv = [os.path.join(BUILD, "bin", "davit-bench"), "-t", TYPE + "/v2", "-i" if want is None else "-f"] + ([want] if want else [])
    for name, value in dict({"connectionString": url}, **more).items():
        argv += ["-p", "%s=%s" % (name, value)]
    p = subprocess.run(argv + [os.path.join(folder, sorted(os.listdir(folder))[-1], TYPE + ".so")], input="set k 31\nget k\ndel k\n",
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
    assert p.returncode == 0 and "not ok" not in p.stdout and (want or "\nok 31 " in p.stdout), p.stdout


@pytest.mark.parametrize("host, mode, root, want", [
    ("localhost", "require", None, None),
    ("localhost", "require", "strangers", "certificate verify failed"),  # a CA that is told is looked at
    ("localhost", "verify-ca", "ours", None),
    ("localhost", "verify-ca", "strangers", "certificate verify failed"),
    ("localhost", "verify-full", "ours", None),
    ("127.0.0.1", "verify-full", "ours", None),
    ("localhost", "verify-full", "strangers", "certificate verify failed"),
    ("localhost", "prefer", None, None),
    ("localhost", "disable", None, "pg_hba.conf rejects connection"),
])
def test_modes_of_tls(tls, host, mode, root, want):
    server, c = tls
    url = server.url.replace("127.0.0.1", host) + " sslmode=" + mode
    speaks(url, want, **({} if root is None else {"sslRootCert": c.ca if root == "ours" else c.stranger.ca}))


def test_a_certificate_for_another_host(tls, tmp_path):
    _, c = tls
    other = Certificates(tmp_path / "c")
    other.server = other.make("elsewhere", "subjectAltName=DNS:elsewhere.example")
    server = Postgres(tls=other)
    try:
        url = server.url.replace("127.0.0.1", "localhost")
        speaks(url + " sslmode=verify-ca", sslRootCert=other.ca)
        speaks(url + " sslmode=verify-full", "does not match host name", sslRootCert=other.ca)
    finally:
        server.stop()


def test_a_client_certificate(tls):
    server, c = tls
    url = server.url.replace("127.0.0.1", "localhost").replace("user=postgres password=pw", "user=cert_user") + " sslmode=verify-full"
    mine = " sslcert=%s sslkey=%s" % c.cert_user
    os.chmod(c.cert_user[1], 0o600)
    speaks(url + mine, sslRootCert=c.ca, tablePrefix="cert_", metadataTableName="cert_metadata")
    speaks(url, "requires a valid client certificate", sslRootCert=c.ca)
    os.chmod(c.client[1], 0o600)
    speaks(url + " sslcert=%s sslkey=%s" % c.client, "certificate authentication failed", sslRootCert=c.ca)


def test_a_server_without_tls(server):
    speaks(server.url + " sslmode=require", "does not support SSL")
    speaks(server.url + " sslmode=prefer")


def test_a_url_in_place_of_words(server):
    speaks("postgres://postgres:pw@127.0.0.1:%d/postgres?sslmode=disable" % server.port)
