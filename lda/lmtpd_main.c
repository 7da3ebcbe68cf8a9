#include "lda/server/lmtpd.h"

int
main(int argc, char **argv)
{
	return lmtpd_program(argc, argv);
}
