/* Preloaded to tell what the fsyncs of a program take: they do nothing. */
int fsync(int descriptor)
{
    (void)descriptor;
    return 0;
}

int syncfs(int descriptor)
{
    (void)descriptor;
    return 0;
}
