/* SPDX-License-Identifier: Apache-2.0 */
#error "use base/jstream.h: json_put is jstream_put, struct json is struct jstream, ... (jansson owns json_)"
