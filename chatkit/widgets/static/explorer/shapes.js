// What the numbers of the layout mean, and the measures of the picture.

export const LIFE = 0, ATTEMPT = 1, OPEN = 2, CROSS = 3, END = 4, PING = 5, ARC = 6, UNDERLINE = 7, SEGMENT = 8, BAR = 9;
export const CAP = 10, POINT = 11, DIAMOND = 12, AREA = 13, DOT = 14;
export const TONES = ["received", "sent", "ok", "bad", "remark", "typing", "quiet", "lag"];
export const LEFT = 132, RIGHT = 22, OVER_TOP = 8, OVER_HIGH = 24, LANES_TOP = 44, AXIS = 28, PITCH = 38;
export const MOST_LANES = 100; // shown at once
export const MOST_ROWS = 500; // of an area, where no kernel is asked
export const TWO_LINES = 26, ONE_LINE = 12; // pixels between lanes from which each has room for so many lines of words
export const ROOM = 1200; // pixels that lanes may take; more lanes stand closer
export const FOLLOW_SPAN = 120; // seconds of a live timeline that are shown once it is longer
export const LEAST_SPAN = 1e-4; // seconds
export const SINGLE = 3; // ticks in a pixel up to which all are drawn alike
export const DENSITIES = 6; // shades of a crowd
export const STOREY = [0, -9, 9];
export const ARRAYS = { "<f8": Float64Array, "<f4": Float32Array, "<i4": Int32Array, "<u2": Uint16Array, "<i1": Int8Array, "<u1": Uint8Array };
export const SOLID = new Set([CROSS, BAR, POINT, DIAMOND]);
export const WAITING = [["kernel", "asked for the whole event; it answers when its cell is done"]];
export const RANK = [CROSS, END, UNDERLINE, ARC, BAR, DIAMOND, AREA, POINT, SEGMENT];
