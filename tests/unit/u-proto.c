/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generated messages against bytes that another implementation of Protocol Buffers made from
 * Dapr's own definitions, and the descriptors against the services that have to be in them.
 */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dapr/proto/internals/v1/service_invocation.pb-c.h"
#include "dapr/proto/placement/v1/placement.pb-c.h"
#include "dapr/proto/runtime/v1/ai.pb-c.h"
#include "dapr/proto/runtime/v1/appcallback.pb-c.h"
#include "dapr/proto/runtime/v1/dapr.pb-c.h"
#include "dapr/proto/runtime/v1/jobs.pb-c.h"
#include "dapr/proto/runtime/v1/state.pb-c.h"
#include "dapr/proto/scheduler/v1/scheduler.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "proto/descriptors.h"
#include "protos/history_events.pb-c.h"
#include "protos/orchestrator_service.pb-c.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char SAVE_STATE[] = "0a0a737461746573746f726512280a026b3112036100621a030a013722120a0c"
				 "74746c496e5365636f6e6473120231302a040801100212060a026b321a00";
static const char JOB[] = "0a016a120018003a1c121a0a1608ffffffffffffffffff0110fbffffffffffff"
			  "ffff011000";
static const char JOB_BARE[] = "0a016a";
static const char LIST_INSTANCES[] = "0a001000";
static const char WATCH_JOBS[] = "0a1b0a016112016e1a01741a0175220200012a09080312001a030a0174";
static const char HISTORY_EVENT[] = "08ffffffffffffffffff0112080880e2cfaa061001620c0a02080112016e2a03"
				    "0a0165f201050a01611200";
static const char PLACEMENT_ORDER[] = "0a4f0a4b0a017412460a0e08ffffffffffffffffff01120178120301ac021a2f"
				      "0a0e31302e302e302e313a3530303032121d0a0e31302e302e302e313a353030"
				      "303210d286032a03617070480250002064120675706461746518ffffffffffff"
				      "ffffff01";
static const char INTERNAL_INVOKE[] = "0801120b0a016812060a01310a01321a220a016d12080a03742f781201011a0a"
				      "746578742f706c61696e220708031203613d62";
static const char CONVERSATION[] = "0a01631a0c0a081a0612040a026869100039000000000000e03f";
static const char TOPIC_EVENT[] = "0a01313201743a0178521c0a1a0a016c121532130a0911000000000000f03f0a"
				  "0208000a022001";
static const char WORK_ITEM[] = "12070a01611a002807520174";
static const char RPC_STATUS[] = "080312016d1a570a28747970652e676f6f676c65617069732e636f6d2f676f6f"
				 "676c652e7270632e4572726f72496e666f122b0a14444150525f53544154455f"
				 "4e4f545f464f554e441207646170722e696f1a0a0a0573746f7265120173";

struct bytes {
	uint8_t data[256];
	size_t len;
};

static struct bytes from_hex(const char *hex)
{
	struct bytes b = { .len = strlen(hex) / 2 };

	ck_assert_uint_le(b.len, sizeof(b.data));
	for (size_t i = 0; i < b.len; i++)
		ck_assert_int_eq(sscanf(hex + 2 * i, "%2hhx", &b.data[i]), 1);
	return b;
}

static void assert_packs(const void *message, const char *hex)
{
	struct bytes want = from_hex(hex);
	uint8_t got[256];

	ck_assert_uint_eq(protobuf_c_message_get_packed_size(message), want.len);
	ck_assert_uint_eq(protobuf_c_message_pack(message, got), want.len);
	ck_assert_mem_eq(got, want.data, want.len);
}

/* Freed by the caller with protobuf_c_message_free_unpacked(). */
static void *unpack(const ProtobufCMessageDescriptor *type, const char *hex)
{
	struct bytes b = from_hex(hex);
	void *message = protobuf_c_message_unpack(type, NULL, b.len, b.data);

	ck_assert_ptr_nonnull(message);
	return message;
}

static void drop(void *message)
{
	protobuf_c_message_free_unpacked(message, NULL);
}

static const struct sample {
	const ProtobufCMessageDescriptor *type;
	const char *hex;
} SAMPLES[] = {
	{ &dapr__proto__runtime__v1__save_state_request__descriptor, SAVE_STATE },
	{ &dapr__proto__runtime__v1__job__descriptor, JOB },
	{ &dapr__proto__runtime__v1__job__descriptor, JOB_BARE },
	{ &list_instance_ids_request__descriptor, LIST_INSTANCES },
	{ &dapr__proto__scheduler__v1__watch_jobs_request__descriptor, WATCH_JOBS },
	{ &history_event__descriptor, HISTORY_EVENT },
	{ &dapr__proto__placement__v1__placement_order__descriptor, PLACEMENT_ORDER },
	{ &dapr__proto__internals__v1__internal_invoke_request__descriptor, INTERNAL_INVOKE },
	{ &dapr__proto__runtime__v1__conversation_request_alpha2__descriptor, CONVERSATION },
	{ &dapr__proto__runtime__v1__topic_event_request__descriptor, TOPIC_EVENT },
	{ &work_item__descriptor, WORK_ITEM },
	{ &google__rpc__status__descriptor, RPC_STATUS },
};

START_TEST(comes_back_as_it_went)
{
	void *message = unpack(SAMPLES[_i].type, SAMPLES[_i].hex);

	assert_packs(message, SAMPLES[_i].hex);
	drop(message);
}
END_TEST

/* Every cut either fails or falls between two fields, where the rest is just absent. */
START_TEST(a_cut_message_is_no_message)
{
	struct bytes b = from_hex(SAMPLES[_i].hex);

	for (size_t len = 0; len < b.len; len++) {
		ProtobufCMessage *message = protobuf_c_message_unpack(SAMPLES[_i].type, NULL, len, b.data);
		if (!message)
			continue;
		ck_assert_uint_le(protobuf_c_message_get_packed_size(message), len);
		ck_assert_uint_eq(message->n_unknown_fields, 0);
		drop(message);
	}
	ck_assert_ptr_null(protobuf_c_message_unpack(SAMPLES[_i].type, NULL, b.len - 1, b.data));
}
END_TEST

START_TEST(state_is_packed)
{
	Dapr__Proto__Common__V1__StateItem__MetadataEntry ttl =
		DAPR__PROTO__COMMON__V1__STATE_ITEM__METADATA_ENTRY__INIT;
	Dapr__Proto__Common__V1__Etag etag = DAPR__PROTO__COMMON__V1__ETAG__INIT;
	Dapr__Proto__Common__V1__Etag empty = DAPR__PROTO__COMMON__V1__ETAG__INIT;
	Dapr__Proto__Common__V1__StateOptions options = DAPR__PROTO__COMMON__V1__STATE_OPTIONS__INIT;
	Dapr__Proto__Common__V1__StateItem first = DAPR__PROTO__COMMON__V1__STATE_ITEM__INIT;
	Dapr__Proto__Common__V1__StateItem second = DAPR__PROTO__COMMON__V1__STATE_ITEM__INIT;
	Dapr__Proto__Runtime__V1__SaveStateRequest request = DAPR__PROTO__RUNTIME__V1__SAVE_STATE_REQUEST__INIT;

	ttl.key = "ttlInSeconds";
	ttl.value = "10";
	etag.value = "7";
	options.concurrency = DAPR__PROTO__COMMON__V1__STATE_OPTIONS__STATE_CONCURRENCY__CONCURRENCY_FIRST_WRITE;
	options.consistency = DAPR__PROTO__COMMON__V1__STATE_OPTIONS__STATE_CONSISTENCY__CONSISTENCY_STRONG;
	first.key = "k1";
	first.value = (ProtobufCBinaryData){ .len = 3, .data = (uint8_t *)"a\0b" };
	first.etag = &etag;
	first.n_metadata = 1;
	first.metadata = (Dapr__Proto__Common__V1__StateItem__MetadataEntry *[]){ &ttl };
	first.options = &options;
	second.key = "k2";
	second.etag = &empty;
	request.store_name = "statestore";
	request.n_states = 2;
	request.states = (Dapr__Proto__Common__V1__StateItem *[]){ &first, &second };

	assert_packs(&request, SAVE_STATE);
}
END_TEST

/* A value that is set to its type's default is on the wire all the same, and back again. */
START_TEST(optional_keeps_a_default_that_was_set)
{
	Google__Protobuf__Duration interval = GOOGLE__PROTOBUF__DURATION__INIT;
	Dapr__Proto__Common__V1__JobFailurePolicyConstant constant =
		DAPR__PROTO__COMMON__V1__JOB_FAILURE_POLICY_CONSTANT__INIT;
	Dapr__Proto__Common__V1__JobFailurePolicy policy = DAPR__PROTO__COMMON__V1__JOB_FAILURE_POLICY__INIT;
	Dapr__Proto__Runtime__V1__Job job = DAPR__PROTO__RUNTIME__V1__JOB__INIT;
	Dapr__Proto__Runtime__V1__Job *back;

	interval.seconds = -1;
	interval.nanos = -5;
	constant.interval = &interval;
	constant._max_retries_case = DAPR__PROTO__COMMON__V1__JOB_FAILURE_POLICY_CONSTANT___MAX_RETRIES_MAX_RETRIES;
	constant.max_retries = 0;
	policy.policy_case = DAPR__PROTO__COMMON__V1__JOB_FAILURE_POLICY__POLICY_CONSTANT;
	policy.constant = &constant;
	job.name = "j";
	job._schedule_case = DAPR__PROTO__RUNTIME__V1__JOB___SCHEDULE_SCHEDULE;
	job.schedule = "";
	job._repeats_case = DAPR__PROTO__RUNTIME__V1__JOB___REPEATS_REPEATS;
	job.repeats = 0;
	job._failure_policy_case = DAPR__PROTO__RUNTIME__V1__JOB___FAILURE_POLICY_FAILURE_POLICY;
	job.failure_policy = &policy;
	assert_packs(&job, JOB);

	back = unpack(&dapr__proto__runtime__v1__job__descriptor, JOB);
	ck_assert_int_eq(back->_schedule_case, DAPR__PROTO__RUNTIME__V1__JOB___SCHEDULE_SCHEDULE);
	ck_assert_str_eq(back->schedule, "");
	ck_assert_int_eq(back->_repeats_case, DAPR__PROTO__RUNTIME__V1__JOB___REPEATS_REPEATS);
	ck_assert_uint_eq(back->repeats, 0);
	ck_assert_int_eq(back->_due_time_case, DAPR__PROTO__RUNTIME__V1__JOB___DUE_TIME__NOT_SET);
	ck_assert_int_eq(back->_data_case, DAPR__PROTO__RUNTIME__V1__JOB___DATA__NOT_SET);
	ck_assert_int_eq(back->failure_policy->constant->interval->seconds, -1);
	ck_assert_int_eq(back->failure_policy->constant->interval->nanos, -5);
	drop(back);

	back = unpack(&dapr__proto__runtime__v1__job__descriptor, JOB_BARE);
	ck_assert_int_eq(back->_schedule_case, DAPR__PROTO__RUNTIME__V1__JOB___SCHEDULE__NOT_SET);
	ck_assert_int_eq(back->_repeats_case, DAPR__PROTO__RUNTIME__V1__JOB___REPEATS__NOT_SET);
	ck_assert_int_eq(back->_failure_policy_case, DAPR__PROTO__RUNTIME__V1__JOB___FAILURE_POLICY__NOT_SET);
	drop(back);
}
END_TEST

START_TEST(oneof_holds_the_member_that_came)
{
	HistoryEvent *event = unpack(&history_event__descriptor, HISTORY_EVENT);
	Dapr__Proto__Scheduler__V1__WatchJobsRequest *watch;
	Dapr__Proto__Scheduler__V1__WatchJobsRequestInitial *initial;

	ck_assert_int_eq(event->eventid, -1);
	ck_assert_int_eq(event->timestamp->seconds, 1700000000);
	ck_assert_int_eq(event->event_type_case, HISTORY_EVENT__EVENT_TYPE_TIMER_CREATED);
	ck_assert_int_eq(event->timercreated->origin_case, TIMER_CREATED_EVENT__ORIGIN_EXTERNAL_EVENT);
	ck_assert_str_eq(event->timercreated->externalevent->name, "e");
	ck_assert_str_eq(event->router->targetappid, "");
	ck_assert_int_eq(event->router->_target_app_namespace_case, TASK_ROUTER___TARGET_APP_NAMESPACE__NOT_SET);
	drop(event);

	watch = unpack(&dapr__proto__scheduler__v1__watch_jobs_request__descriptor, WATCH_JOBS);
	ck_assert_int_eq(watch->watch_job_request_type_case,
			 DAPR__PROTO__SCHEDULER__V1__WATCH_JOBS_REQUEST__WATCH_JOB_REQUEST_TYPE_INITIAL);
	initial = watch->initial;
	ck_assert_uint_eq(initial->n_accept_job_types, 2);
	ck_assert_int_eq(initial->accept_job_types[1],
			 DAPR__PROTO__SCHEDULER__V1__JOB_TARGET_TYPE__JOB_TARGET_TYPE_ACTOR_REMINDER);
	ck_assert_str_eq(initial->concurrency_limits[0]->actor->type, "t");
	drop(watch);
}
END_TEST

START_TEST(maps_hold_their_entries)
{
	Dapr__Proto__Placement__V1__PlacementOrder *order =
		unpack(&dapr__proto__placement__v1__placement_order__descriptor, PLACEMENT_ORDER);
	Dapr__Proto__Placement__V1__PlacementTable *table = order->tables->entries[0]->value;
	Dapr__Proto__Internals__V1__InternalInvokeRequest *invoke;

	ck_assert_uint_eq(order->version, UINT64_MAX);
	ck_assert_str_eq(order->tables->entries[0]->key, "t");
	ck_assert_uint_eq(table->hosts[0]->key, UINT64_MAX);
	ck_assert_uint_eq(table->sorted_set[1], 300);
	ck_assert_str_eq(table->load_map[0]->key, "10.0.0.1:50002");
	ck_assert_int_eq(table->load_map[0]->value->port, 50002);
	drop(order);

	invoke = unpack(&dapr__proto__internals__v1__internal_invoke_request__descriptor, INTERNAL_INVOKE);
	ck_assert_uint_eq(invoke->n_metadata, 1);
	ck_assert_uint_eq(invoke->metadata[0]->value->n_values, 2);
	ck_assert_str_eq(invoke->metadata[0]->value->values[1], "2");
	drop(invoke);
}
END_TEST

/* Other implementations write an entry's empty value; protobuf-c reads it and leaves it out. */
START_TEST(a_map_entry_may_lack_its_value)
{
	static const char WRITTEN[] = "0a027b7d1201311a060a01611201311a050a01621200";
	static const char LEFT_OUT[] = "0a027b7d1201311a060a01611201311a030a0162";
	static const char *const FORMS[] = { WRITTEN, LEFT_OUT };

	for (size_t i = 0; i < COUNT(FORMS); i++) {
		Dapr__Proto__Runtime__V1__GetStateResponse *response =
			unpack(&dapr__proto__runtime__v1__get_state_response__descriptor, FORMS[i]);

		ck_assert_uint_eq(response->n_metadata, 2);
		ck_assert_str_eq(response->metadata[1]->key, "b");
		ck_assert_str_eq(response->metadata[1]->value, "");
		assert_packs(response, LEFT_OUT);
		drop(response);
	}
}
END_TEST

START_TEST(an_error_carries_its_details)
{
	Google__Rpc__Status *status = unpack(&google__rpc__status__descriptor, RPC_STATUS);
	Google__Protobuf__Any *any = status->details[0];
	Google__Rpc__ErrorInfo *info;

	ck_assert_int_eq(status->code, 3);
	ck_assert_str_eq(any->type_url, "type.googleapis.com/google.rpc.ErrorInfo");
	info = google__rpc__error_info__unpack(NULL, any->value.len, any->value.data);
	ck_assert_ptr_nonnull(info);
	ck_assert_str_eq(info->reason, "DAPR_STATE_NOT_FOUND");
	ck_assert_str_eq(info->domain, "dapr.io");
	ck_assert_str_eq(info->metadata[0]->key, "store");
	drop(info);
	drop(status);
}
END_TEST

/* What a newer peer sends beside what we know goes on to the next one. */
START_TEST(unknown_fields_are_kept)
{
	static const char NEWER[] = "0a016ab23e03616263";
	ProtobufCMessage *job = unpack(&dapr__proto__runtime__v1__job__descriptor, NEWER);

	ck_assert_uint_eq(job->n_unknown_fields, 1);
	ck_assert_uint_eq(job->unknown_fields[0].tag, 998);
	assert_packs(job, NEWER);
	drop(job);
}
END_TEST

static Google__Protobuf__FileDescriptorSet *set;

static void open_set(void)
{
	set = google__protobuf__file_descriptor_set__unpack(NULL, proto_descriptors_size, proto_descriptors);
	ck_assert_ptr_nonnull(set);
}

static void close_set(void)
{
	drop(set);
	set = NULL;
}

/* full is package.Service, or the service alone where the file has no package. */
static const Google__Protobuf__ServiceDescriptorProto *find_service(const char *full)
{
	char name[128];

	for (size_t i = 0; i < set->n_file; i++) {
		const Google__Protobuf__FileDescriptorProto *file = set->file[i];

		for (size_t k = 0; k < file->n_service; k++) {
			snprintf(name, sizeof(name), "%s%s%s", file->package ? file->package : "",
				 file->package ? "." : "", file->service[k]->name);
			if (!strcmp(name, full))
				return file->service[k];
		}
	}
	return NULL;
}

static const struct declared {
	const char *service;
	size_t methods;
} DECLARED[] = {
	{ "TaskHubSidecarService", 17 },
	{ "dapr.proto.components.v1.InputBinding", 3 },
	{ "dapr.proto.components.v1.OutputBinding", 4 },
	{ "dapr.proto.components.v1.PubSub", 8 },
	{ "dapr.proto.components.v1.QueriableStateStore", 1 },
	{ "dapr.proto.components.v1.SecretStore", 5 },
	{ "dapr.proto.components.v1.StateStore", 9 },
	{ "dapr.proto.components.v1.TransactionalStateStore", 1 },
	{ "dapr.proto.components.v1.TransactionalStoreMultiMaxSize", 1 },
	{ "dapr.proto.internals.v1.ServiceInvocation", 5 },
	{ "dapr.proto.operator.v1.Operator", 16 },
	{ "dapr.proto.placement.v1.Placement", 1 },
	{ "dapr.proto.runtime.v1.AppCallback", 7 },
	{ "dapr.proto.runtime.v1.AppCallbackAlpha", 2 },
	{ "dapr.proto.runtime.v1.AppCallbackHealthCheck", 1 },
	{ "dapr.proto.runtime.v1.Dapr", 72 },
	{ "dapr.proto.scheduler.v1.Scheduler", 8 },
	{ "dapr.proto.sentry.v1.CA", 1 },
	{ "grpc.health.v1.Health", 3 },
	{ "grpc.reflection.v1.ServerReflection", 1 },
	{ "grpc.reflection.v1alpha.ServerReflection", 1 },
};

START_TEST(descriptors_hold_the_services)
{
	size_t n = 0;

	for (size_t i = 0; i < COUNT(DECLARED); i++) {
		const Google__Protobuf__ServiceDescriptorProto *service = find_service(DECLARED[i].service);

		ck_assert_msg(service != NULL, "%s is missing", DECLARED[i].service);
		ck_assert_msg(service->n_method == DECLARED[i].methods, "%s has %zu methods", DECLARED[i].service,
			      service->n_method);
	}
	for (size_t i = 0; i < set->n_file; i++)
		n += set->file[i]->n_service;
	ck_assert_uint_eq(n, COUNT(DECLARED));
}
END_TEST

START_TEST(descriptors_tell_what_streams)
{
	static const struct {
		const char *service, *method;
		bool client, server;
	} KINDS[] = {
		{ "dapr.proto.runtime.v1.Dapr", "GetState", false, false },
		{ "dapr.proto.runtime.v1.Dapr", "SubscribeConfiguration", false, true },
		{ "dapr.proto.runtime.v1.Dapr", "SubscribeTopicEventsAlpha1", true, true },
		{ "dapr.proto.runtime.v1.Dapr", "EncryptAlpha1", true, true },
		{ "dapr.proto.internals.v1.ServiceInvocation", "CallLocalStream", true, true },
		{ "dapr.proto.internals.v1.ServiceInvocation", "CallActorStream", false, true },
		{ "dapr.proto.placement.v1.Placement", "ReportDaprStatus", true, true },
		{ "dapr.proto.scheduler.v1.Scheduler", "WatchHosts", false, true },
		{ "TaskHubSidecarService", "GetWorkItems", false, true },
	};

	for (size_t i = 0; i < COUNT(KINDS); i++) {
		const Google__Protobuf__ServiceDescriptorProto *service = find_service(KINDS[i].service);
		bool found = false;

		ck_assert_ptr_nonnull(service);
		for (size_t k = 0; k < service->n_method; k++) {
			const Google__Protobuf__MethodDescriptorProto *method = service->method[k];

			if (strcmp(method->name, KINDS[i].method))
				continue;
			found = true;
			ck_assert_int_eq(method->client_streaming, KINDS[i].client);
			ck_assert_int_eq(method->server_streaming, KINDS[i].server);
		}
		ck_assert_msg(found, "%s is missing", KINDS[i].method);
	}
}
END_TEST

/* A client loads the files in the order in which it gets them. */
START_TEST(descriptors_come_after_their_imports)
{
	ck_assert_uint_gt(set->n_file, 40);
	for (size_t i = 0; i < set->n_file; i++) {
		const Google__Protobuf__FileDescriptorProto *file = set->file[i];

		for (size_t d = 0; d < file->n_dependency; d++) {
			size_t k = 0;

			while (k < i && strcmp(set->file[k]->name, file->dependency[d]))
				k++;
			ck_assert_msg(k < i, "%s stands before %s", file->name, file->dependency[d]);
		}
	}
}
END_TEST

/* The C of the API's service and its descriptor are made of the same file at the same time. */
START_TEST(generated_code_agrees_with_the_descriptors)
{
	const Google__Protobuf__ServiceDescriptorProto *service = find_service("dapr.proto.runtime.v1.Dapr");
	const ProtobufCServiceDescriptor *code = &dapr__proto__runtime__v1__dapr__descriptor;

	ck_assert_ptr_nonnull(service);
	ck_assert_uint_eq(code->n_methods, service->n_method);
	for (size_t i = 0; i < service->n_method; i++) {
		const Google__Protobuf__MethodDescriptorProto *method = service->method[i];

		ck_assert_str_eq(code->methods[i].name, method->name);
		ck_assert_str_eq(code->methods[i].input->name, method->input_type + 1);
		ck_assert_str_eq(code->methods[i].output->name, method->output_type + 1);
	}
}
END_TEST

static Suite *proto_suite(void)
{
	Suite *suite = suite_create("proto");
	TCase *messages = tcase_create("messages");
	TCase *descriptors = tcase_create("descriptors");

	tcase_add_loop_test(messages, comes_back_as_it_went, 0, COUNT(SAMPLES));
	tcase_add_loop_test(messages, a_cut_message_is_no_message, 0, COUNT(SAMPLES));
	tcase_add_test(messages, state_is_packed);
	tcase_add_test(messages, optional_keeps_a_default_that_was_set);
	tcase_add_test(messages, oneof_holds_the_member_that_came);
	tcase_add_test(messages, maps_hold_their_entries);
	tcase_add_test(messages, a_map_entry_may_lack_its_value);
	tcase_add_test(messages, an_error_carries_its_details);
	tcase_add_test(messages, unknown_fields_are_kept);
	suite_add_tcase(suite, messages);

	tcase_add_checked_fixture(descriptors, open_set, close_set);
	tcase_add_test(descriptors, descriptors_hold_the_services);
	tcase_add_test(descriptors, descriptors_tell_what_streams);
	tcase_add_test(descriptors, descriptors_come_after_their_imports);
	tcase_add_test(descriptors, generated_code_agrees_with_the_descriptors);
	suite_add_tcase(suite, descriptors);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(proto_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
