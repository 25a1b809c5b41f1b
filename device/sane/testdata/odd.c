/* A library with the calls of the SANE standard and devices that misbehave: for
   tests. The name of a device says what it does; the first dll.conf in
   SANE_CONFIG_DIR, what the search for devices does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GOOD, UNSUPPORTED, CANCELLED, BUSY, INVAL, END, JAMMED, NO_DOCS };
enum { BOOL, INT, FIXED, STRING, BUTTON, GROUP };
enum { NONE, PIXEL, BIT, MM, DPI };
enum { SOFT_SELECT = 1, HARD_SELECT = 2, SOFT_DETECT = 4, INACTIVE = 32 };

struct device { const char *name, *vendor, *model, *type; };
struct range { int min, max, quant; };
struct option {
	const char *name, *title, *desc;
	int type, unit, size, cap, constraint_type;
	const void *constraint;
};
struct parameters { int format, last, bytes, pixels, lines, depth; };

static const char *sources[] = { "Flatbed", "ADF Front", "ADF Back", "ADF Duplex", "Card Front", NULL };
static const char *modes[] = { "Black & White", "Gray[Error Diffusion]", "True Gray", "24bit Color", NULL };
static const int resolutions[] = { 4, 600, 150, 300, 100 };
static const int minus_one_words[] = { -1 };
static const struct range millimetres = { 0, 215 << 16, 0 }, upside_down = { 5, -5, 0 }, backwards_step = { 0, 9, -3 };

static struct option options[] = {
	{ "", "", "", INT, NONE, 4, SOFT_DETECT, 0, NULL },
	{ NULL, NULL, NULL, GROUP, NONE, 0, 0, 0, NULL },
	{ "source", "Source", "", STRING, NONE, 20, SOFT_SELECT | SOFT_DETECT, 3, sources },
	{ "mode", "Mode", "", STRING, NONE, 30, SOFT_SELECT | SOFT_DETECT, 3, modes },
	{ "resolution", "Resolution", "", INT, DPI, 4, SOFT_SELECT | SOFT_DETECT, 2, resolutions },
	{ "tl-x", "", "", FIXED, MM, 4, SOFT_SELECT | SOFT_DETECT, 1, &millimetres },
	{ "tl-y", "", "", FIXED, MM, 4, SOFT_SELECT | SOFT_DETECT, 1, &millimetres },
	{ "br-x", "", "", FIXED, MM, 4, SOFT_SELECT | SOFT_DETECT, 1, &millimetres },
	{ "br-y", "", "", FIXED, MM, 4, SOFT_SELECT | SOFT_DETECT, 1, &millimetres },
	{ "page-width", NULL, NULL, INT, MM, 4, SOFT_SELECT | SOFT_DETECT, 1, NULL },
	{ "page-height", NULL, NULL, INT, MM, 4, SOFT_SELECT | SOFT_DETECT, 1, &upside_down },
	{ "depth", NULL, NULL, INT, BIT, 4, SOFT_SELECT | SOFT_DETECT, 2, minus_one_words },
	{ "gamma", NULL, NULL, INT, NONE, 256 * 4, SOFT_SELECT | SOFT_DETECT, 0, NULL },
	{ "huge", NULL, NULL, STRING, NONE, 0x7fffffff, SOFT_SELECT | SOFT_DETECT, 0, NULL },
	{ "negative", NULL, NULL, STRING, NONE, -20, SOFT_SELECT | SOFT_DETECT, 9, &millimetres },
	{ "step", NULL, NULL, INT, NONE, 4, SOFT_SELECT | SOFT_DETECT, 1, &backwards_step },
	{ "kind", NULL, NULL, 77, 99, 4, 0x7fffffff, 77, &millimetres },
	{ "\xff\xfe\xfd", "\xff", NULL, BOOL, NONE, 4, SOFT_SELECT | SOFT_DETECT, 0, NULL },
	{ "duplex", NULL, NULL, BOOL, NONE, 4, SOFT_SELECT | SOFT_DETECT | INACTIVE, 0, NULL },
	{ "scan", "", "", BOOL, NONE, 4, HARD_SELECT | SOFT_DETECT, 0, NULL },
	{ "email", "", "", BOOL, NONE, 4, HARD_SELECT | SOFT_DETECT, 0, NULL },
	{ "button-2", "", "", INT, NONE, 4, HARD_SELECT | SOFT_DETECT, 0, NULL },
	{ "button-update", "", "", BUTTON, NONE, 0, SOFT_SELECT, 0, NULL },
	{ "page-loaded", "", "", BOOL, NONE, 4, HARD_SELECT | SOFT_DETECT, 0, NULL },
	{ "cover-open", "", "", BOOL, NONE, 4, HARD_SELECT | SOFT_DETECT, 0, NULL },
};
enum { COUNT = sizeof options / sizeof *options };
static struct option *find(const char *name)
{
	for (int i = 1; i < COUNT; i++)
		if (options[i].name && !strcmp(options[i].name, name))
			return &options[i];
	return NULL;
}

static char text[COUNT][64];
static int word[COUNT];
static const char *device; /* open */
static int sides, left, updated;

static void does(const char *what) /* if this device does it here */
{
	char name[50];
	snprintf(name, sizeof name, "odd:hang-%s", what);
	if (device && !strcmp(device, name))
		for (;;)
			pause();
	snprintf(name, sizeof name, "odd:crash-%s", what);
	if (device && !strcmp(device, name)) {
		fprintf(stderr, "about to crash\n");
		*(volatile int *)8 = 1;
	}
	snprintf(name, sizeof name, "odd:exit-%s", what);
	if (device && !strcmp(device, name)) {
		printf("\001\001\001\005 not for the pipe of answers\n");
		exit(3);
	}
}

/* conf says whether the first dll.conf has that backend. */
static int conf(const char *backend)
{
	char path[4096], line[200];
	snprintf(path, sizeof path, "%s", getenv("SANE_CONFIG_DIR"));
	*strchr(path, ':') = 0;
	strcat(path, "/dll.conf");
	FILE *f = fopen(path, "r");
	int found = 0;
	while (f && fgets(line, sizeof line, f))
		found |= !strncmp(line, backend, strlen(backend)) && line[strlen(backend)] == '\n';
	if (f)
		fclose(f);
	return found;
}

int sane_init(int *version, void *auth)
{
	(void)auth;
	*version = 1 << 24;
	if (conf("oldstandard"))
		*version = 2 << 24;
	for (int i = 0; i < COUNT; i++)
		word[i] = options[i].type == INT ? 300 : 0;
	return GOOD;
}

void sane_exit(void) {}

int sane_get_devices(const struct device ***list, int local)
{
	static const struct device good = { "odd:sheets", "Odd", "Odd Scanner", "sheetfed scanner" };
	static const struct device usb1 = { "odd:libusb:001:004", "Odd", "USB Scanner", "flatbed scanner" };
	static const struct device usb2 = { "other:libusb:001:004", "Odd", "USB Scanner", "flatbed scanner" };
	static const struct device usb3 = { "odd:libusb:001:005", NULL, NULL, NULL };
	static const struct device *devices[10];
	int n = 0;
	(void)local;
	if (conf("hang"))
		for (;;)
			pause();
	if (conf("crash"))
		abort();
	if (conf("odd"))
		devices[n++] = &good;
	if (conf("usb")) {
		devices[n++] = &usb1;
		devices[n++] = &usb2;
		devices[n++] = &usb3;
	}
	devices[n] = NULL;
	*list = devices;
	return GOOD;
}

int sane_open(const char *name, void **handle)
{
	static char copy[100];
	snprintf(copy, sizeof copy, "%s", name);
	device = copy;
	does("open");
	*handle = (void *)3; /* no pointer, as with some backends */
	return strcmp(name, "odd:busy") ? GOOD : BUSY;
}

void sane_close(void *handle) { (void)handle; }

const struct option *sane_get_option_descriptor(void *handle, int n)
{
	(void)handle;
	return n < COUNT ? &options[n] : NULL;
}

static int pressed(const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", getenv("HOME"), name);
	return !access(path, F_OK);
}

int sane_control_option(void *handle, int n, int action, void *value, int *info)
{
	(void)handle;
	if (n == 0) {
		*(int *)value = COUNT + 5; /* the last ones are not there */
		return GOOD;
	}
	if (n < 0 || n >= COUNT)
		return INVAL;
	does("control");
	if (&options[n] == find("button-update")) {
		updated = 1;
		return GOOD;
	}
	if (action == 1 && options[n].type == STRING)
		snprintf(text[n], sizeof text[n], "%s", (char *)value);
	else if (action == 1)
		word[n] = *(int *)value;
	else if (options[n].type == STRING)
		strcpy(value, text[n]);
	else if (options[n].cap & HARD_SELECT) {
		*(int *)value = options[n].name && updated && pressed(options[n].name);
	} else
		*(int *)value = word[n];
	if (info)
		*info = 2; /* reload all */
	return GOOD;
}

/* fault gives the status of the device odd:fault-STATUS-WHERE, once, and there. */
static int struck, fed; /* fed: whole sheets, which a cancel does not put back */

static int faulty(void) { return !strncmp(device, "odd:fault-", 10); }

static int fault(const char *where)
{
	int status;
	char at[20];
	if (struck || sscanf(device, "odd:fault-%d-%19s", &status, at) != 2 || strcmp(at, where))
		return GOOD;
	struck = 1;
	return status;
}

static int both(void) { return !strcmp(text[find("source") - options], "ADF Duplex"); }
static int bed(void) { return !strcmp(text[find("source") - options], "Flatbed"); }

int sane_start(void *handle)
{
	(void)handle;
	does("start");
	if (!strcmp(device, "odd:jam-third") && sides == 2)
		return JAMMED;
	int st = sides == 2 ? fault("feed") : sides == 3 ? fault("between") : GOOD;
	if (st)
		return st;
	if (faulty() && fed == 3)
		return NO_DOCS;
	if (!strcmp(device, "odd:no-sheets") || (!bed() && sides == (both() ? 6 : 3)))
		return NO_DOCS;
	sides++;
	left = 20 * 10;
	return GOOD;
}

int sane_get_parameters(void *handle, struct parameters *p)
{
	(void)handle;
	*p = (struct parameters){ 0, 1, 20, 20, 10, 8 };
	if (!strcmp(device, "odd:nonsense"))
		p->pixels = p->bytes = 0x7fffffff;
	if (!strcmp(device, "odd:long-read"))
		p->lines = 9;
	return GOOD;
}

int sane_read(void *handle, unsigned char *data, int max, int *n)
{
	(void)handle;
	does("read");
	*n = 0;
	int st = sides == 3 && left == 100 ? fault("mid-page") : sides == 4 && !left ? fault("status") : GOOD;
	if (st)
		return st;
	if (!left) {
		fed += sides % 2 == 0;
		return END;
	}
	if (faulty() && max > 100)
		max = 100;
	if (!strcmp(device, "odd:too-much-read")) {
		*n = max + 1;
		return GOOD;
	}
	if (!strcmp(device, "odd:silent-read"))
		return GOOD;
	*n = max < left ? max : left;
	memset(data, sides, *n);
	left -= *n;
	return GOOD;
}

void sane_cancel(void *handle)
{
	(void)handle;
	does("cancel");
	sides = left = 0;
}
