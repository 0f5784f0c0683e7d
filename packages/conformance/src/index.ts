/** The conformance suite: everything public of this package. */
export {};
