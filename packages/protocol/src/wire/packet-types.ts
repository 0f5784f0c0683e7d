/** Control packet types (section 2.1.2): constants, for the same reason as those of reason-codes.ts. 0 is forbidden; 15 exists since 5.0. */
export const Connect = 1 as const;
export const Connack = 2 as const;
export const Publish = 3 as const;
export const Puback = 4 as const;
export const Pubrec = 5 as const;
export const Pubrel = 6 as const;
export const Pubcomp = 7 as const;
export const Subscribe = 8 as const;
export const Suback = 9 as const;
export const Unsubscribe = 10 as const;
export const Unsuback = 11 as const;
export const Pingreq = 12 as const;
export const Pingresp = 13 as const;
export const Disconnect = 14 as const;
export const Auth = 15 as const;
