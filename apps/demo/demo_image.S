// The archive's bytes, as they stand on disk.
    .section .rodata
    .global hypermesh_demo_image_begin
    .global hypermesh_demo_image_end
    .balign 16
hypermesh_demo_image_begin:
    .incbin DEMO_IMAGE_ARCHIVE
hypermesh_demo_image_end:
    .byte 0
    .section .note.GNU-stack, "", @progbits
