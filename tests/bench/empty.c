/* The floor: what fork, exec, the loader and exit cost. */
int
main(void)
{
	return 0;
}
