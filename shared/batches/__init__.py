"""Files and batches that the gateway keeps itself, and the two engines that run them: Azure's and our own.

batch.py and kept.py say what is kept, ports.py where; files.py and service.py answer clients; azure_engine.py and
own_engine.py run; looking.py drives what is not over. Everything outside is a port: no SDK is imported here.
"""
