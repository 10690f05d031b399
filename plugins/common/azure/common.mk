# SPDX-License-Identifier: Apache-2.0
LIBRARIES := libcrypto jansson
