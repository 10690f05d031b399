/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place that says which release this is. DAPR_LEVEL is the release of Dapr whose interface we serve: it is what
 * `--version`, the log's `ver` and the metadata API show, since tools made for Dapr compare it. DAVIT_VERSION is ours.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define DAPR_LEVEL "1.18.3"
#define DAVIT_VERSION "0.1.0"

/* The build may name the commit; a release tarball has none. */
#ifndef DAVIT_COMMIT
#define DAVIT_COMMIT "unknown"
#endif
#endif
