import { z } from 'zod';
import { finite } from './shape.ts';

/** Any JSON value; numbers are finite. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Parameters of foreign shape, kept as they are. Depth and size are bounded by `checkStructure`, before zod sees them. */
export const Json: z.ZodType<Json> = z.lazy(() =>
  z.union([z.null(), z.boolean(), finite, z.string(), z.array(Json), z.record(z.string(), Json)]),
);
