#include "lda/adm/adm.h"

int
main(int argc, char **argv)
{
	return adm_program(argc, argv);
}
