#include "lda/deliver.h"

int
main(int argc, char **argv)
{
	return deliver_program(argc, argv);
}
