from tests.support.stack import Stack, Key, ask, last_upstream
def test_first(stack_of_mode, fake):
    import time
    k = stack_of_mode.key()
    t=time.time()
    with stack_of_mode.openai(k) as c:
        print(c.chat.completions.create(**ask("hello")))
    print(time.time()-t)
    print(stack_of_mode.usage(k,1), time.time()-t)
    print(last_upstream(fake))
