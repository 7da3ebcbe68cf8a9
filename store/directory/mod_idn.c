/* Names that are not ASCII: UTS 46 for domains, lower case and NFC for local
 * parts. */
#include <idn2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

#include "store/directory/idn.h"
#include "store/directory/module.h"

extern const char vbox_module_version[];
extern const struct idn vbox_idn;

MODULE_VERSION;

static int
copy_out(const char *s, size_t n, char *out, size_t size)
{
	if (n >= size)
		return -1;
	memcpy(out, s, n);
	out[n] = '\0';
	return 0;
}

static int
domain_to_ascii(const char *name, char *out, size_t size)
{
	char *ascii = NULL;
	int r = -1;

	if (idn2_to_ascii_8z(name, &ascii, IDN2_NONTRANSITIONAL |
	    IDN2_NFC_INPUT) == IDN2_OK)
		r = copy_out(ascii, strlen(ascii), out, size);
	idn2_free(ascii);
	return r;
}

static int
domain_to_unicode(const char *name, char *out, size_t size)
{
	char *utf8 = NULL;
	int r = -1;

	if (idn2_to_unicode_8z8z(name, &utf8, 0) == IDN2_OK)
		r = copy_out(utf8, strlen(utf8), out, size);
	idn2_free(utf8);
	return r;
}

/* Lower case without a language: the Turkish i has no say in addresses. */
static int
local_fold(const char *name, char *out, size_t size)
{
	uint8_t *folded;
	size_t n = 0;
	int r;

	folded = u8_tolower((const uint8_t *)name, strlen(name), NULL,
	    UNINORM_NFC, NULL, &n);
	if (folded == NULL)
		return -1;
	r = copy_out((const char *)folded, n, out, size);
	free(folded);
	return r;
}

const struct idn vbox_idn = {
	.domain_to_ascii = domain_to_ascii,
	.domain_to_unicode = domain_to_unicode,
	.local_fold = local_fold,
};
