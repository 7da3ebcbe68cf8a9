/*
 * The text that somebody reads in an HTML page: for body :text, extracttext
 * and attachments. In one pass, with no tree: mail's HTML is never valid.
 */
#ifndef FILTERS_MESSAGE_HTML_H
#define FILTERS_MESSAGE_HTML_H

#include "store/base/buf.h"
#include "store/base/str.h"

/*
 * Appends the text of `html` (UTF-8). Tags, comments, declarations and what
 * is between <script>, <style>, <title> and their ends go; entities become
 * characters; runs of white space become one space; tags of blocks, <br> and
 * table rows become a line break. 0, or -1 when the buffer is full.
 */
int html_text(struct str html, struct buf *out);

#endif
