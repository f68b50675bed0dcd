/** Version of the program that results name. */
export const TOOL_VERSION = '0.1.0';

/** Changes whenever a kernel's bits or a generator's numbers do; part of every action key. */
export const NUMERICS_VERSION = '1';
