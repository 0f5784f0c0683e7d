/** The time that does not come: of what is not due, or does not expire. */
export const never = Number.POSITIVE_INFINITY;
