//! The files of an artifact, whatever its layers are: eStargz read by ranges, a tar archive streamed, or one file a blob.
