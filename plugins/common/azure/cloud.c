/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud.h"

#include <strings.h>

static const struct {
	const char *name;
	struct azure_cloud cloud;
} clouds[] = {
	{ "AzurePublic", { "https://login.microsoftonline.com", "core.windows.net", "vault.azure.net" } },
	{ "AzureChina", { "https://login.chinacloudapi.cn", "core.chinacloudapi.cn", "vault.azure.cn" } },
	{ "AzureUSGovernment",
	  { "https://login.microsoftonline.us", "core.usgovcloudapi.net", "vault.usgovcloudapi.net" } },
};

const struct azure_cloud *azure_cloud_of(struct davit_str name)
{
	size_t i, n;

	if (name.n == 0)
		return &clouds[0].cloud;
	for (i = 0; i < sizeof(clouds) / sizeof(clouds[0]); i++) {
		n = strlen(clouds[i].name);
		if (name.n >= n && strncasecmp(name.p, clouds[i].name, n) == 0 &&
		    (name.n == n || (name.n == n + 5 && strncasecmp(name.p + n, "Cloud", 5) == 0)))
			return &clouds[i].cloud;
	}
	return NULL;
}
