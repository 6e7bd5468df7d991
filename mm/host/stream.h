// stream.h: for each heap a stream of requests that defeats it, and another heap that has no trouble with the same stream.
#pragma once

#include "play.h"

struct stream {
	const char *name, *what; // what is a sentence: what is done, and why it hurts
	void (*make)(struct play *play); // plays against the heap; sees addresses
	const struct heap_ops *defeated, *other;
	double at_least, at_most; // play_figure: memory that blocks ever lay in, over the most live; the defeated's, the other's
};

extern const struct stream streams[]; // ended by an empty name

// Plays the stream against the heap that it defeats, where it may look at addresses, and the same requests again to `ops`.
double stream_figure(const struct stream *stream, const struct heap_ops *ops);
