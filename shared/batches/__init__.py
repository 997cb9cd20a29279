"""Files and batches that the gateway keeps itself, and the two engines that run them: Azure's and our own.

    batch, kept, ports     what is kept, and where
    files, intake/         files and uploads; inputs checked line by line
    service, orders        the Batch API
    looking                drives what is not over; azure/ and own/ are the engines, settling writes down what was used
    dropped/ deferred/     jobs from dropped files, calls that are answered later
    callbacks, retrying    who is told, what is run again
    making, desk           all of it together

Everything outside is a port: no SDK is imported here.
"""
