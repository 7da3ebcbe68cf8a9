#include "store/base/boot.h"

#include <fcntl.h>
#include <stdbool.h>

#include "store/base/file.h"

struct str
boot_id(void)
{
	static char text[BOOT_ID_MAX];
	static ssize_t n;
	static bool asked;
	int fd;

	if (!asked) {
		asked = true;
		fd = open("/proc/sys/kernel/random/boot_id",
		    O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? 0 : file_read_full(fd, text, sizeof(text));
		file_close(&fd);
	}
	return n > 0 ? str_mem(text, (size_t)n) : STR("");
}
